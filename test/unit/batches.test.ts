import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Batches } from '../../src/state/batches.ts'

/** Batches of which each is answered when the test says so. */
function open(most?: number) {
  const sent: number[][] = []
  const answers: (() => void)[] = []
  const batches = new Batches<number>((batch) => {
    sent.push(batch)
    return new Promise((resolve) => answers.push(() => resolve(() => {})))
  }, most)
  const answer = async () => {
    answers.shift()?.()
    await nextTurn()
  }
  return { batches, sent, answer }
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
})
