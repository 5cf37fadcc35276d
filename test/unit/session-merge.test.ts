import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createSession } from '../../src/state/sessions/session-class.ts'
import { dataOf, decode, encode, merge } from '../../src/state/sessions/session-merge.ts'

type Data = Record<string, unknown>

/** Few keys, so that both requests often change the same one. */
const names = ['name', 'visits', 'cart', 'theme', 'a', 'b', '7', 'cookie']
/** Names that every object inherits; `members` are those of a session's methods. */
const inherited = Object.getOwnPropertyNames(Object.prototype).filter((name) => name !== '__proto__')
const prototype: object = Object.getPrototypeOf(createSession({}))
const members = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
const key = fc.constantFrom(...names, ...inherited, ...members)
const data = fc.dictionary(key, fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true })
/** The changes of one request: keys that it sets, and keys that it deletes. */
const change = fc.record({ set: data, remove: fc.uniqueArray(key) })
type Change = { set: Data; remove: string[] }

const changed = (base: Data, { set, remove }: Change): Data => {
  const after: Data = { ...base, ...set }
  for (const one of remove) delete after[one]
  return after
}
/** The value after a round trip through Redis. */
const stored = (value: Data): Data => JSON.parse(JSON.stringify(value)) as Data
/** An object's own value of a key, never an inherited one. */
const ownOf = (value: Data, key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined)
const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b)
const keysOf = (...all: Data[]) => [...new Set(all.flatMap((one) => Object.keys(one)))]

const concurrently = (check: (base: Data, mine: Data, theirs: Data) => void) =>
  fc.assert(
    fc.property(data, change, change, (base, mine, theirs) => check(base, changed(base, mine), changed(base, theirs))),
    { numRuns: 500 }
  )

describe('the merged changes of two concurrent requests', () => {
  test('contain every change of this request, deletions included', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, mine)) {
        if (differs(ownOf(mine, key), ownOf(base, key))) {
          assert.deepEqual(ownOf(merged, key), ownOf(mine, key), `${key} of this request`)
        }
      }
    })
  })

  test('contain the changes of the other request where this one changed nothing', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, theirs)) {
        if (!differs(ownOf(mine, key), ownOf(base, key))) {
          assert.deepEqual(ownOf(merged, key), ownOf(theirs, key), `${key} of the other request`)
        }
      }
    })
  })

  test('contain no key that neither request has', () => {
    concurrently((base, mine, theirs) => {
      const known = new Set(keysOf(mine, theirs))
      for (const key of Object.keys(merge(base, mine, theirs))) assert.ok(known.has(key), key)
    })
  })

  test('do not change when they are merged once more', () => {
    concurrently((base, mine, theirs) => {
      const once = merge(base, mine, theirs)
      assert.deepEqual(merge(base, mine, once), once)
    })
  })

  test('are those of one request when the other changed nothing', () => {
    concurrently((base, mine, theirs) => {
      assert.deepEqual(stored(merge(base, mine, base)), stored(mine))
      assert.deepEqual(merge(base, base, theirs), theirs)
    })
  })

  test('leave the three inputs unchanged', () => {
    concurrently((base, mine, theirs) => {
      const before = JSON.stringify([base, mine, theirs])
      merge(base, mine, theirs)
      assert.equal(JSON.stringify([base, mine, theirs]), before)
    })
  })

  test('do not depend on the order of the requests when they changed different keys', () => {
    concurrently((base, mine, theirs) => {
      const both = keysOf(base, mine, theirs).filter((key) => differs(ownOf(mine, key), ownOf(base, key)))
      const apart = { ...theirs, ...Object.fromEntries(both.map((key) => [key, ownOf(base, key)])) }
      assert.deepEqual(stored(merge(base, mine, apart)), stored(merge(base, apart, mine)))
    })
  })
})

describe('the changes of any number of concurrent requests, written one after the other', () => {
  const writers = fc.array(change, { minLength: 1, maxLength: 8 })

  test('have for each key the value of the last request that changed it', () => {
    fc.assert(
      fc.property(data, writers, (base, changes) => {
        const views = changes.map((one) => changed(base, one))
        let current: Data = base
        for (const mine of views) current = merge(base, mine, current)
        for (const key of keysOf(base, ...views)) {
          const last = views.findLast((mine) => differs(ownOf(mine, key), ownOf(base, key))) ?? base
          assert.ok(!differs(ownOf(current, key), ownOf(last, key)), key)
        }
      }),
      { numRuns: 500 }
    )
  })

  test('stay when a request saves several times and others write in between', () => {
    fc.assert(
      fc.property(data, writers, writers, (base, own, others) => {
        let current: Data = base
        let seen: Data = base
        for (const [i, one] of own.entries()) {
          const mine = changed(seen, one)
          const before = current
          current = merge(seen, mine, current)
          for (const key of keysOf(before, seen, mine)) {
            const from = differs(ownOf(mine, key), ownOf(seen, key)) ? mine : before
            assert.ok(!differs(ownOf(current, key), ownOf(from, key)), key)
          }
          seen = mine
          if (others[i]) current = merge(base, changed(base, others[i]), current)
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe('a stored session', () => {
  const anything = fc.dictionary(fc.oneof(key, fc.string()), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true })
  /** The complete JSON, as the script in Redis writes it. */
  const whole = (session: object, createdAt: number, version: number) =>
    `${encode(dataOf(session))},"createdAt":${createdAt},"_v":${version}}`

  test('is read as it was written, whatever a handler has put in', () => {
    fc.assert(
      fc.property(anything, fc.nat(), fc.nat(), (session, createdAt, version) => {
        const text = whole(session, createdAt, version)
        assert.deepEqual(decode(text), { data: stored(dataOf(session)), createdAt, version })
      })
    )
  })

  test('has members that no handler can set: its start, its version, and those of the store and of @fastify/session', () => {
    const forged = { createdAt: 1, _v: 99, cookie: { maxAge: 1 }, name: 'ada', sessionId: 'x', regenerate: 1, get: 2 }
    assert.deepEqual(decode(whole(forged, 7, 1)), { data: { name: 'ada' }, createdAt: 7, version: 1 })
    for (const name of members) assert.deepEqual(dataOf({ [name]: 'x' }), {}, name)
  })

  test('is invalid when its version is not its last member, where the scripts in Redis look for it', () => {
    const right = whole({ name: 'ada' }, 7, 3)
    assert.equal(decode(right)?.version, 3)
    const wrong = [
      '{"cookie":{},"_v":3,"createdAt":7,"name":"ada"}',
      '{"cookie":{},"_v":3,"createdAt":7}',
      '{"cookie":{},"createdAt":7,"_v":3,"name":"ada"}',
      '{"cookie":{},"createdAt":7,"name":"ada"}',
      `${right} `
    ]
    for (const text of wrong) assert.equal(decode(text), undefined, text)
  })

  test('is invalid when one of its members is missing or wrong', () => {
    const right = { cookie: {}, createdAt: 7, _v: 1 }
    assert.ok(decode(JSON.stringify(right)))
    const wrong = [{ cookie: null }, { createdAt: '7' }, { createdAt: null }, { _v: 'x' }, { _v: -1 }, { _v: 0.5 }]
    for (const change of wrong) assert.equal(decode(JSON.stringify({ ...right, ...change })), undefined)
    fc.assert(fc.property(fc.jsonValue(), (value) => decode(JSON.stringify(value)) === undefined))
    fc.assert(fc.property(fc.string(), (text) => decode(text) === undefined))
  })
})

test('a key that is set to undefined counts as deleted, as in JSON', () => {
  const merged = merge({ name: 'ada', visits: 1 }, { name: undefined, visits: 1 }, { name: 'ada', visits: 2 })
  assert.deepEqual(stored(merged), { visits: 2 })
})
