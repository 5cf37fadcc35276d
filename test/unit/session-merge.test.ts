import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { merge } from '../../src/state/session-store.ts'

type Data = Record<string, unknown>

/** Few keys, so that both sides often mean the same one; any JSON as value. */
const key = fc.constantFrom('name', 'visits', 'cart', 'theme', 'a', 'b', '7', 'cookie')
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
const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b)
const keysOf = (...all: Data[]) => [...new Set(all.flatMap((one) => Object.keys(one)))]

const concurrently = (check: (base: Data, mine: Data, theirs: Data) => void) =>
  fc.assert(
    fc.property(data, change, change, (base, mine, theirs) =>
      check(base, changed(base, mine), { ...changed(base, theirs), _v: 7 })
    ),
    { numRuns: 500 }
  )

describe('what two concurrent requests did to one session, merged', () => {
  test('keeps what this one changed, deletions included', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, mine)) {
        if (differs(mine[key], base[key])) assert.deepEqual(merged[key], mine[key], `${key} of this request`)
      }
    })
  })

  test('keeps what the other one changed, where this one did nothing', () => {
    concurrently((base, mine, theirs) => {
      const merged = merge(base, mine, theirs)
      for (const key of keysOf(base, theirs)) {
        if (key !== '_v' && !differs(mine[key], base[key])) {
          assert.deepEqual(merged[key], theirs[key], `${key} of the other request`)
        }
      }
    })
  })

  test('has no key that neither of them has, and not the version', () => {
    concurrently((base, mine, theirs) => {
      const known = new Set(keysOf(mine, theirs))
      for (const key of Object.keys(merge(base, mine, theirs))) assert.ok(known.has(key) && key !== '_v', key)
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
      const { _v, ...others } = theirs
      assert.deepEqual(merge(base, base, theirs), others)
    })
  })

  test('changes none of the three', () => {
    concurrently((base, mine, theirs) => {
      const before = JSON.stringify([base, mine, theirs])
      merge(base, mine, theirs)
      assert.equal(JSON.stringify([base, mine, theirs]), before)
    })
  })

  test('loses nothing of any number of requests that each set a key of their own, in any order of writing', () => {
    fc.assert(
      fc.property(data, fc.shuffledSubarray([...'abcdefghijklmnopqrst'], { minLength: 1 }), (base, writers) => {
        let current: Data = base
        for (const writer of writers) current = merge(base, { ...base, [`own-${writer}`]: writer }, current)
        const expected = Object.fromEntries(writers.map((writer) => [`own-${writer}`, writer]))
        assert.deepEqual(current, { ...base, ...expected })
      })
    )
  })
})

test('a key that was set to undefined is one that was deleted, as in JSON', () => {
  const merged = merge({ name: 'ada', visits: 1 }, { name: undefined, visits: 1 }, { name: 'ada', visits: 2, _v: 3 })
  assert.deepEqual(stored(merged), { visits: 2 })
})
