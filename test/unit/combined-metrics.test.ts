import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Collection } from '../../src/ipc/messages.ts'
import type { Family } from '../../src/ipc/series.ts'
import { CombinedMetrics } from '../../src/primary/metrics/combined-metrics.ts'
import { RetainedCounters } from '../../src/primary/metrics/retained-counters.ts'

const NAME = 'reloads_total'

/** A primary that has counted so much by itself, and whose worker in slot 0 has too. */
function primaryWith(count: number) {
  const counters = new RetainedCounters()
  const family = (value: number) => ({
    name: NAME,
    help: '',
    type: 'counter' as const,
    series: [['', [value]]] as never
  })
  const own = async (): Promise<Collection> => ({
    workers: [
      { slot: 0, counters: [family(count)], others: [] },
      ...counters.ofExited().map((exited) => ({ ...exited, others: [] }))
    ],
    missing: [],
    primary: [family(count)]
  })
  return new CombinedMetrics(own, counters)
}

function connect(one: CombinedMetrics, other: CombinedMetrics, [oneKey, otherKey] = [{}, {}]) {
  one.connect(oneKey!, () => other.all(otherKey))
  other.connect(otherKey!, () => one.all(oneKey))
  return { oneKey: oneKey!, otherKey: otherKey! }
}

const sumOf = ({ series }: Family) => series.reduce((sum, [, values]) => sum + Number(values[0]), 0)

async function totals(metrics: CombinedMetrics): Promise<[primary: number, workers: number]> {
  const { primary, workers } = await metrics.all()
  const sum = (families: Family[]) => families.map(sumOf).reduce((a, b) => a + b, 0)
  return [sum(primary), sum(workers.flatMap(({ counters }) => counters))]
}

test('three primaries that serve beside each other show the same sums, each counted once', async () => {
  const [first, second, third] = [primaryWith(1), primaryWith(10), primaryWith(100)]
  connect(first, second)
  connect(second, third)
  for (const metrics of [first, second, third]) assert.deepEqual(await totals(metrics), [111, 111])
})

test('counters of primaries that end one after the other are kept', async () => {
  const [first, second, third] = [primaryWith(1), primaryWith(10), primaryWith(100)]
  const { otherKey } = connect(first, second)
  const { otherKey: toSecond } = connect(second, third)
  second.disconnect(otherKey, await first.own())
  assert.deepEqual(await totals(third), [111, 111])
  third.disconnect(toSecond, await second.own())
  assert.deepEqual(await totals(third), [111, 111])
})

test('a primary that ends while its counters are asked for is asked once', async () => {
  const [first, second] = [primaryWith(1), primaryWith(10)]
  const key = {}
  let asked = 0
  second.connect(key, async () => {
    asked++
    const last = await first.own()
    second.disconnect(key, last)
    return last
  })
  assert.deepEqual(await totals(second), [11, 11])
  assert.equal(asked, 1)
})

test('a primary that is killed leaves what it has told last', async () => {
  const [first, second] = [primaryWith(1), primaryWith(10)]
  const { otherKey } = connect(first, second)
  await second.refresh()
  second.disconnect(otherKey)
  second.disconnect(otherKey)
  assert.deepEqual(await totals(second), [11, 11])
})
