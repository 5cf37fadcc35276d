import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Batcher, type Waiter } from '../../src/state/redis/batcher.ts'

interface Numbered extends Waiter {
  item: number
}

/** Long enough for a batch to leave before, on a machine that is busy. */
const SOON_MS = 1000

/** Batches of which each is answered when the test says so. */
function open(most?: number) {
  const sent: number[][] = []
  const settled: number[] = []
  const expired: number[] = []
  const answers: (() => void)[] = []
  const queue = new Batcher<Numbered>((batch) => {
    sent.push(batch.items.map(({ item }) => item))
    const settle = () => batch.settle(({ item }) => settled.push(item))
    return new Promise((resolve) => answers.push(() => resolve(settle)))
  }, most)
  const batches = {
    add: (item: number, timeoutMs = 60_000) =>
      queue.add({ item, deadline: performance.now() + timeoutMs, expire: () => expired.push(item) })
  }
  const answer = async () => {
    answers.shift()?.()
    await nextTurn()
  }
  return { batches, sent, settled, expired, answer }
}

describe('batches', () => {
  test('what is asked in one turn leaves together, what comes meanwhile is the next', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2]) batches.add(item)
    assert.deepEqual(sent, [])
    await nextTurn()
    for (const item of [3, 4, 5, 6, 7]) batches.add(item)
    await nextTurn()
    assert.deepEqual(sent, [[1, 2]])
    await answer()
    // Seven had asked during the flight, five of them wait: two are missing, and not waited for without end.
    batches.add(8)
    batches.add(9)
    await nextTurn()
    await nextTurn()
    assert.deepEqual(sent, [
      [1, 2],
      [3, 4, 5, 6, 7, 8, 9]
    ])
  })

  test('who does not come back is waited for, for milliseconds', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2, 3]) batches.add(item)
    await nextTurn()
    await answer()
    batches.add(4)
    while (sent.length < 2) await nextTurn()
    assert.deepEqual(sent[1], [4])
  })

  test('who asks alone waits for nobody', async () => {
    const { batches, sent, answer } = open()
    for (const item of [1, 2, 3]) {
      batches.add(item)
      await nextTurn()
      await nextTurn()
      assert.deepEqual(sent.at(-1), [item])
      await answer()
    }
  })

  test('a batch has a size that it does not pass, and nobody is lost', async () => {
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

  test('a waiter whose deadline passes while its batch is in flight is expired once, and gets no answer', async () => {
    const { batches, sent, settled, expired, answer } = open()
    batches.add(1, SOON_MS)
    batches.add(2)
    await nextTurn()
    while (expired.length < 1) await nextTurn()
    await answer()
    assert.deepEqual([sent, settled, expired], [[[1, 2]], [2], [1]])
  })

  test('one whose deadline passes before its batch has left is never sent', async () => {
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

  test('a waiter that comes after all others were answered is expired in time as well', async () => {
    const { batches, settled, expired, answer } = open()
    batches.add(1, SOON_MS)
    await nextTurn()
    await answer()
    batches.add(2, SOON_MS)
    while (expired.length < 1) await nextTurn()
    assert.deepEqual([settled, expired], [[1], [2]])
  })
})
