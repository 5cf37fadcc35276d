import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Batcher, type Waiter } from '../../src/state/redis/batcher.ts'

interface Numbered extends Waiter {
  item: number
}

/** Long enough for a batch to leave before this, also on a busy machine. */
const SOON_MS = 1000

/** A batcher whose batches are answered when the test calls `answer`. */
function open(maxSize?: number) {
  const sent: number[][] = []
  const settled: number[] = []
  const expired: number[] = []
  const answers: (() => void)[] = []
  const batcher = new Batcher<Numbered>((batch) => {
    sent.push(batch.items.map(({ item }) => item))
    const settle = () => batch.settle(({ item }) => settled.push(item))
    return new Promise((resolve) => answers.push(() => resolve(settle)))
  }, maxSize)
  const batches = {
    add: (item: number, timeoutMs = 60_000) =>
      batcher.add({ item, deadline: performance.now() + timeoutMs, expire: () => expired.push(item) })
  }
  const answer = async () => {
    answers.shift()?.()
    await nextTurn()
  }
  return { batches, sent, settled, expired, answer }
}

describe('a batcher', () => {
  test('sends all callers of one turn together, and callers during the flight as the next batch', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2]) batches.add(item)
    assert.deepEqual(sent, [])
    await nextTurn()
    for (const item of [3, 4, 5, 6, 7]) batches.add(item)
    await nextTurn()
    assert.deepEqual(sent, [[1, 2]])
    await answer()
    // Seven callers have asked so far and five of them wait: the batch waits for two more, but not forever.
    batches.add(8)
    batches.add(9)
    await nextTurn()
    await nextTurn()
    assert.deepEqual(sent, [
      [1, 2],
      [3, 4, 5, 6, 7, 8, 9]
    ])
  })

  test('waits for callers that do not ask again only for milliseconds', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2, 3]) batches.add(item)
    await nextTurn()
    await answer()
    batches.add(4)
    while (sent.length < 2) await nextTurn()
    assert.deepEqual(sent[1], [4])
  })

  test('waits longer where callers ask again after answers than where they come independently of answers', async (t) => {
    const { batches, sent, answer } = open()
    const pauses: unknown[] = []
    const { setTimeout } = globalThis
    t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => {
      if (ms < 10) pauses.push(ms)
      return setTimeout(callback, ms)
    })
    /** One batch of three callers of whom one asks again, and `joining` that come during the flight. */
    async function round(joining: number) {
      const flights = sent.length
      for (let item = 0; item < 3; item++) batches.add(item)
      while (sent.length === flights) await nextTurn()
      for (let item = 0; item < joining; item++) batches.add(item)
      await answer()
      batches.add(3)
      while (sent.length <= flights + 1) await nextTurn()
      await answer()
    }
    for (let n = 0; n < 5; n++) await round(0)
    assert.equal(pauses.at(-1), 4)
    // Flights are short here, so a thousand callers in each are more per ms than those between flights.
    for (let n = 0; n < 50; n++) await round(1000)
    assert.equal(pauses.at(-1), 1)
  })

  test('lets a single caller wait for no other', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2, 3]) {
      batches.add(item)
      await nextTurn()
      await nextTurn()
      assert.deepEqual(sent.at(-1), [item])
      await answer()
    }
  })

  test('keeps batches within the maximum size and loses no caller', async () => {
    const { batches, sent, answer } = open(1000)
    for (let item = 0; item < 2500; item++) batches.add(item)
    await nextTurn()
    while (sent.flat().length < 2500) await answer()
    assert.deepEqual(
      sent.map(({ length }) => length),
      [1000, 1000, 500]
    )
    assert.deepEqual(
      sent.flat(),
      Array.from({ length: 2500 }, (_, i) => i)
    )
  })

  test('expires a waiter once when its deadline passes during the flight, and gives it no answer', async () => {
    const { batches, sent, settled, expired, answer } = open()
    batches.add(1, SOON_MS)
    batches.add(2)
    await nextTurn()
    while (expired.length < 1) await nextTurn()
    await answer()
    assert.deepEqual([sent, settled, expired], [[[1, 2]], [2], [1]])
  })

  test('never sends a waiter whose deadline passes before its batch leaves', async () => {
    const { batches, sent, settled, expired, answer } = open()
    batches.add(1, SOON_MS)
    await nextTurn()
    batches.add(2, SOON_MS)
    batches.add(3)
    while (expired.length < 2) await nextTurn()
    await answer()
    while (sent.length < 2) await nextTurn()
    await answer()
    assert.deepEqual([sent, settled, expired], [[[1], [3]], [3], [1, 2]])
  })

  test('expires a waiter in time also when all earlier ones were answered', async () => {
    const { batches, settled, expired, answer } = open()
    batches.add(1, SOON_MS)
    await nextTurn()
    await answer()
    batches.add(2, SOON_MS)
    while (expired.length < 1) await nextTurn()
    assert.deepEqual([settled, expired], [[1], [2]])
  })
})
