import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Candidate,
  type Load,
  type RoutingHint,
  roundRobin,
  sticky,
  successorFirst
} from '../../src/primary/listener/balancing.ts'

/** Workers of the slots 0 to n-1; their ids have nothing to do with their slots. */
const workers = (count: number, firstId = 100): Candidate[] =>
  Array.from({ length: count }, (_, slot) => ({ id: firstId + slot, slot }))
const load = (over: Partial<Load> = {}): Load => ({ unanswered: new Map(), silent: new Set(), turn: 0, ...over })

const IPV4 = Array.from({ length: 20_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
const IPV6 = Array.from({ length: 20_000 }, (_, i) => `2001:db8:0:${i.toString(16)}::1`)

const slotOf = (targets: Candidate[], client: string, over: Partial<Load> = {}) =>
  sticky(targets, load(over), { client })?.slot
/** Slots of all clients, in their order. */
const slotsOf = (targets: Candidate[], clients: string[]) => clients.map((client) => slotOf(targets, client))

describe('round robin', () => {
  const chosen = (over: Partial<Load>, wish: RoutingHint = {}) => roundRobin(workers(3), load(over), wish)?.slot

  test('takes workers in turn if their load is equal', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((turn) => chosen({ turn })),
      [0, 1, 2, 0, 1]
    )
  })

  test('prefers the worker with the fewest unanswered connections', () => {
    for (const turn of [0, 1, 2]) {
      const unanswered = new Map([
        [100, 3],
        [101, 1],
        [102, 2]
      ])
      assert.equal(chosen({ turn, unanswered }), 1)
    }
  })

  test('skips workers with four unanswered connections and unreachable ones; chooses none when all are full', () => {
    const hung = new Map([[101, 4]])
    assert.deepEqual(new Set([0, 1, 2].map((turn) => chosen({ turn, unanswered: hung }))), new Set([0, 2]))
    assert.equal(chosen({ turn: 1 }, { avoid: 101 }), 2)
    assert.equal(chosen({ unanswered: new Map([100, 101, 102].map((id) => [id, 4])) }), undefined)
    assert.equal(roundRobin([], load(), {}), undefined)
  })
})

describe('connections in use', () => {
  const able = (targets: Candidate[]) => targets.map((target) => ({ ...target, resumes: true }))
  const successor = (targets: Candidate[], over: Partial<Load> = {}, hint: RoutingHint = {}) =>
    successorFirst(roundRobin)(targets, load(over), { resumes: true, slot: 1, ...hint })?.id

  test('go to the worker that replaces theirs, and wait for it while others are free', () => {
    const targets = able(workers(3))
    for (const turn of [0, 1, 2]) assert.equal(successor(targets, { turn }), 101)
    assert.equal(successor(targets, { unanswered: new Map([[101, 4]]) }), undefined)
  })

  test('go to any other that can continue them when there is no successor, or it takes none', () => {
    const targets = able(workers(3))
    assert.notEqual(successor(targets, {}, { slot: 7 }), undefined)
    assert.notEqual(successor(targets, { silent: new Set([101]) }), 101)
    assert.notEqual(successor(targets, {}, { avoid: 101 }), 101)
    assert.equal(
      successor([{ id: 1, slot: 1 }, ...able([{ id: 2, slot: 2 }])]),
      2,
      'the successor runs an older version'
    )
    assert.equal(successor(workers(3)), undefined)
  })
})

describe('sticky', () => {
  test('a client stays at one slot, whichever worker serves it and in any order of workers', () => {
    const before = slotsOf(workers(5), IPV4)
    assert.deepEqual(slotsOf(workers(5, 900).reverse(), IPV4), before)
    assert.deepEqual(
      IPV4.map((client) => sticky(workers(5), load({ turn: 3 }), { client })?.slot),
      before
    )
  })

  for (const [kind, clients] of Object.entries({ IPV4, IPV6 })) {
    for (const count of [2, 3, 4, 7, 16]) {
      test(`${clients.length} ${kind} addresses in a row are spread evenly over ${count} slots`, () => {
        const sizes = Array<number>(count).fill(0)
        for (const slot of slotsOf(workers(count), clients)) sizes[slot!]!++
        const mean = clients.length / count
        // Six standard deviations of a fair draw.
        const most = 6 * Math.sqrt(mean * (1 - 1 / count))
        for (const size of sizes) assert.ok(Math.abs(size - mean) < most, `${sizes}`)
      })

      test(`${kind}: one slot more than ${count} moves a share of one in ${count + 1}, and only to the new slot`, () => {
        const before = slotsOf(workers(count), clients)
        const after = slotsOf(workers(count + 1), clients)
        const moved = after.filter((slot, i) => slot !== before[i])
        assert.ok(
          moved.every((slot) => slot === count),
          'no client moves between slots that were there before'
        )
        const share = 1 / (count + 1)
        const mean = clients.length * share
        assert.ok(Math.abs(moved.length - mean) < 6 * Math.sqrt(mean * (1 - share)), `${moved.length} moved`)
      })
    }
  }

  test('a slot without a worker moves only its own clients, to each of the others', () => {
    const all = workers(4)
    const before = slotsOf(all, IPV4)
    const after = slotsOf(
      all.filter(({ slot }) => slot !== 2),
      IPV4
    )
    for (const [i, slot] of after.entries()) if (before[i] !== 2) assert.equal(slot, before[i])
    assert.deepEqual(new Set(after.filter((_, i) => before[i] === 2)), new Set([0, 1, 3]))
  })

  test('chooses the newest worker of a slot', () => {
    for (const client of IPV4.slice(0, 50)) {
      const slot = slotOf(workers(3), client)
      const chosen = sticky([...workers(3, 200), ...workers(3), ...workers(3, 150)], load(), { client })
      assert.deepEqual(chosen, { id: 200 + slot!, slot })
    }
  })

  test('replaces a hung, full or unreachable worker by the same other one each time', () => {
    const client = '10.0.0.1'
    const best = slotOf(workers(4), client)!
    const id = 100 + best
    const next = slotOf(
      workers(4).filter(({ slot }) => slot !== best),
      client
    )
    assert.equal(slotOf(workers(4), client, { silent: new Set([id]) }), next)
    assert.equal(slotOf(workers(4), client, { unanswered: new Map([[id, 1024]]) }), next)
    assert.equal(sticky(workers(4), load(), { client, avoid: id })?.slot, next)
    assert.equal(slotOf(workers(4), client, { unanswered: new Map([[id, 1023]]) }), best, 'a burst stays together')
    assert.equal(slotOf(workers(1), client, { silent: new Set([100]) }), undefined)
    assert.equal(slotOf([], client), undefined)
  })

  test('a transferred connection stays with its slot; without a worker there, its client decides', () => {
    for (const client of IPV4.slice(0, 50)) {
      for (const slot of [0, 1, 2]) assert.equal(sticky(workers(3), load(), { client, slot })?.slot, slot)
      assert.equal(sticky(workers(3), load(), { client, slot: 7 })?.slot, slotOf(workers(3), client))
    }
  })

  test('a transferred connection of an unknown client stays too, or goes to the worker with the fewest connections', () => {
    const unanswered = new Map([
      [100, 5],
      [102, 9]
    ])
    assert.equal(sticky(workers(3), load({ unanswered }), { slot: 2 })?.slot, 2)
    assert.equal(sticky(workers(3), load({ unanswered }), { slot: 7 })?.slot, 1)
  })
})
