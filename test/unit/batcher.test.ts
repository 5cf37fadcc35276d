import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Batcher, type Waiter } from '../../src/state/redis/batcher.ts'

interface Numbered extends Waiter {
  item: number
}

/** Long enough for a batch to leave before this, also on a busy machine. */
const SOON_MS = 1000

interface Options {
  maxSize?: number
  /** Called with each item that is answered. */
  onAnswer?: (item: number) => void
  isBusy?: boolean
}

/** A batcher whose batches are answered when the test calls `answer`. */
function open({ maxSize, onAnswer = () => {}, isBusy = false }: Options = {}) {
  const sent: number[][] = []
  const settled: number[] = []
  const expired: number[] = []
  const answers: (() => void)[] = []
  const batcher = new Batcher<Numbered>(
    (batch) => {
      sent.push(batch.items.map(({ item }) => item))
      const settle = () =>
        batch.settle(({ item }) => {
          settled.push(item)
          onAnswer(item)
        })
      return new Promise((resolve) => answers.push(() => resolve(settle)))
    },
    maxSize,
    () => isBusy
  )
  const batches = {
    add: (item: number, timeoutMs = 60_000) =>
      batcher.add({ item, deadline: performance.now() + timeoutMs, expire: () => expired.push(item) })
  }
  const answer = async () => {
    answers.shift()?.()
    await nextTurn()
  }
  return { batches, sent, settled, expired, answer, isInFlight: () => answers.length > 0 }
}

describe('a batcher', () => {
  test('sends all callers of one turn together, and callers during the flight as the next batch', async () => {
    // Those that are answered ask again at once, before any timer of the batcher can fire.
    const { batches, sent, answer } = open({ onAnswer: (item) => queueMicrotask(() => batches.add(item + 7)) })
    for (const item of [1, 2]) batches.add(item)
    assert.deepEqual(sent, [])
    await nextTurn()
    for (const item of [3, 4, 5, 6, 7]) batches.add(item)
    await nextTurn()
    assert.deepEqual(sent, [[1, 2]])
    // Seven callers have asked so far and five of them wait: the batch waits for two more, but not forever.
    await answer()
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

  /** Lets callers come in two ways, one after the other. @returns the pause after each of them, in ms */
  async function pausesOf(t: TestContext, options: Options) {
    const { batches, isInFlight, answer } = open(options)
    const pauses: number[] = []
    const { setTimeout } = globalThis
    t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => {
      if (ms < 10) pauses.push(ms)
      return setTimeout(callback, ms)
    })
    /** Answers the next flight after `during` callers have come, and then adds `after` more, who cause another flight. */
    async function fly(during: number, after: number) {
      while (!isInFlight()) await nextTurn()
      for (let item = 0; item < during; item++) batches.add(item)
      await answer()
      for (let item = 0; item < after; item++) batches.add(item)
    }
    batches.add(0)
    for (let n = 0; n < 5; n++) await fly(0, 3)
    const askAgain = pauses.at(-1)
    // Flights are short here, so a thousand callers in each are more per ms than those between flights.
    for (let n = 0; n < 50; n++) await fly(1000, 1)
    return { askAgain, independent: pauses.at(-1) }
  }

  test('waits longer where callers ask again after answers than where they come independently of answers', async (t) => {
    assert.deepEqual(await pausesOf(t, {}), { askAgain: 4, independent: 1 })
  })

  test('waits longer for all callers while the event loop is busy, because batches cost CPU time', async (t) => {
    assert.deepEqual(await pausesOf(t, { isBusy: true }), { askAgain: 4, independent: 4 })
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
    const { batches, sent, answer } = open({ maxSize: 1000 })
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
