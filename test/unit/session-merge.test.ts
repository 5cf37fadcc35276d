import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dataOf, decode, encode, merge } from '../../src/state/sessions/session-merge.ts'

type Data = Record<string, unknown>

/** Few keys, so that both sides often mean the same one; any JSON as value. */
const names = ['name', 'visits', 'cart', 'theme', 'a', 'b', '7', 'cookie']
/** Names that every object has, and those of a session's methods. */
const inherited = Object.getOwnPropertyNames(Object.prototype).filter((name) => name !== '__proto__')
const { prototype } = createRequire(import.meta.url)('@fastify/session/lib/session.js') as { prototype: object }
const members = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
const key = fc.constantFrom(...names, ...inherited, ...members)
const data = fc.dictionary(key, fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true })
/** What one request does to a session: keys it sets, and keys it deletes. */
const change = fc.record({ set: data, remove: fc.uniqueArray(key) })
type Change = { set: Data; remove: string[] }

const changed = (base: Data, { set, remove }: Change): Data => {
  const after: Data = { ...base, ...set }
  for (const one of remove) delete after[one]
  return after
}
/** As it is after a trip through Redis. */
const stored = (value: Data): Data => JSON.parse(JSON.stringify(value)) as Data
/** What an object has of its own under this name. */
const ownOf = (value: Data, key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined)
const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b)
const keysOf = (...all: Data[]) => [...new Set(all.flatMap((one) => Object.keys(one)))]

const concurrently = (check: (base: Data, mine: Data, theirs: Data) => void) =>
  fc.assert(
    fc.property(data, change, change, (base, mine, theirs) => check(base, changed(base, mine), changed(base, theirs))),
    { numRuns: 500 }
  )

describe('what two concurrent requests did to one session, merged', () => {
  test('keeps what this one changed, deletions included', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, mine)) {
        if (differs(ownOf(mine, key), ownOf(base, key))) {
          assert.deepEqual(ownOf(merged, key), ownOf(mine, key), `${key} of this request`)
        }
      }
    })
  })

  test('keeps what the other one changed, where this one did nothing', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, theirs)) {
        if (!differs(ownOf(mine, key), ownOf(base, key))) {
          assert.deepEqual(ownOf(merged, key), ownOf(theirs, key), `${key} of the other request`)
        }
      }
    })
  })

  test('has no key that neither of them has', () => {
    concurrently((base, mine, theirs) => {
      const known = new Set(keysOf(mine, theirs))
      for (const key of Object.keys(merge(base, mine, theirs))) assert.ok(known.has(key), key)
    })
  })

  test('is the same when it is merged once more', () => {
    concurrently((base, mine, theirs) => {
      const once = merge(base, mine, theirs)
      assert.deepEqual(merge(base, mine, once), once)
    })
  })

  test('is what this one wrote when the other one did nothing, and the other way round', () => {
    concurrently((base, mine, theirs) => {
      assert.deepEqual(stored(merge(base, mine, base)), stored(mine))
      assert.deepEqual(merge(base, base, theirs), theirs)
    })
  })

  test('changes none of the three', () => {
    concurrently((base, mine, theirs) => {
      const before = JSON.stringify([base, mine, theirs])
      merge(base, mine, theirs)
      assert.equal(JSON.stringify([base, mine, theirs]), before)
    })
  })

  test('is the same whoever wrote first, when they changed different keys', () => {
    concurrently((base, mine, theirs) => {
      const both = keysOf(base, mine, theirs).filter((key) => differs(ownOf(mine, key), ownOf(base, key)))
      const apart = { ...theirs, ...Object.fromEntries(both.map((key) => [key, ownOf(base, key)])) }
      assert.deepEqual(stored(merge(base, mine, apart)), stored(merge(base, apart, mine)))
    })
  })
})

describe('what any number of concurrent requests did, written one after the other', () => {
  const writers = fc.array(change, { minLength: 1, maxLength: 8 })

  test('is, key by key, what the last one that changed it made of it', () => {
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

  test('holds also for a request that saves several times: what others wrote in between stays', () => {
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

describe('what Redis holds of a session', () => {
  const anything = fc.dictionary(fc.oneof(key, fc.string()), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true })
  /** As the script in Redis ends it. */
  const whole = (session: object, createdAt: number, version: number) =>
    `${encode(dataOf(session))},"createdAt":${createdAt},"_v":${version}}`

  test('reads as it was written, whatever a handler has put in', () => {
    fc.assert(
      fc.property(anything, fc.nat(), fc.nat(), (session, createdAt, version) => {
        const text = whole(session, createdAt, version)
        assert.deepEqual(decode(text), { data: stored(dataOf(session)), createdAt, version })
      })
    )
  })

  test('has members that no handler can set: when it began, its version, what the store and @fastify/session keep', () => {
    const forged = { createdAt: 1, _v: 99, cookie: { maxAge: 1 }, name: 'ada', sessionId: 'x', regenerate: 1, get: 2 }
    assert.deepEqual(decode(whole(forged, 7, 1)), { data: { name: 'ada' }, createdAt: 7, version: 1 })
    for (const name of members) assert.deepEqual(dataOf({ [name]: 'x' }), {}, name)
  })

  test('is no session when its version is not its last member, where the scripts in Redis look for it', () => {
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

  test('is no session when anything of this is not there or not right', () => {
    const right = { cookie: {}, createdAt: 7, _v: 1 }
    assert.ok(decode(JSON.stringify(right)))
    const wrong = [{ cookie: null }, { createdAt: '7' }, { createdAt: null }, { _v: 'x' }, { _v: -1 }, { _v: 0.5 }]
    for (const change of wrong) assert.equal(decode(JSON.stringify({ ...right, ...change })), undefined)
    fc.assert(fc.property(fc.jsonValue(), (value) => decode(JSON.stringify(value)) === undefined))
    fc.assert(fc.property(fc.string(), (text) => decode(text) === undefined))
  })
})

test('a key that was set to undefined is one that was deleted, as in JSON', () => {
  const merged = merge({ name: 'ada', visits: 1 }, { name: undefined, visits: 1 }, { name: 'ada', visits: 2 })
  assert.deepEqual(stored(merged), { visits: 2 })
})
