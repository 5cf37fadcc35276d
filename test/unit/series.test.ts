import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Family, parseFamilies, SeriesStore } from '../../src/ipc/series.ts'
import { RetainedCounters } from '../../src/primary/metrics/retained-counters.ts'
import { Random } from '../helpers/random.ts'

const counter = (series: Record<string, number>, name = 'orders_total'): Family => ({
  name,
  help: 'Orders.',
  type: 'counter',
  series: Object.entries(series).map(([labels, value]) => [labels, [value]])
})
const histogram = (bounds: number[], values: number[]): Family => ({
  name: 'wait_seconds',
  help: 'Wait.',
  type: 'histogram',
  bounds,
  series: [['', values]]
})

describe('retained counters', () => {
  test('continue by slot when a worker exits, and stay when the slot is no longer wanted', () => {
    const counts = new RetainedCounters()
    counts.update(1, [counter({ 'a="1"': 5, 'a="2"': 1 })])
    counts.update(2, [counter({ 'a="1"': 7 })])
    counts.update(1, [counter({ 'a="1"': 6 })])
    assert.deepEqual(counts.of(1), [counter({ 'a="1"': 6, 'a="2"': 1 })])
    counts.retain(1, 0)
    assert.deepEqual(counts.of(1), [])
    counts.update(3, [counter({ 'a="2"': 1 })])
    counts.retain(3, 0)
    counts.retain(2, 1)
    assert.deepEqual(counts.ofExited(), [
      { slot: 0, counters: [counter({ 'a="2"': 2, 'a="1"': 6 })] },
      { slot: 1, counters: [counter({ 'a="1"': 7 })] }
    ])
  })

  test('never fall: a late report is older', () => {
    const counts = new RetainedCounters()
    counts.update(1, [counter({ '': 9 }), histogram([1], [4, 5, 50])])
    counts.update(1, [counter({ '': 8 }), histogram([1], [4, 4, 40])])
    assert.deepEqual(counts.of(1), [counter({ '': 9 }), histogram([1], [4, 5, 50])])
  })

  test('keep their sum to the last bit, in whatever order workers exit', () => {
    const random = new Random(7)
    for (let i = 0; i < 1000; i++) {
      const counts = new RetainedCounters()
      const total = () => {
        const sum = new SeriesStore()
        for (const id of [3, 2, 1]) sum.add(counts.of(id))
        for (const { counters } of counts.ofExited()) sum.add(counters)
        return sum.read()[0]!.series[0]![1]
      }
      for (const id of [1, 2, 3]) counts.update(id, [histogram([1], [1, 2, random.next() / 3])])
      const before = total()
      for (const id of random.next() < 0.5 ? [1, 2, 3] : [3, 1, 2]) {
        counts.retain(id, 0)
        assert.deepEqual(total(), before)
      }
    }
  })

  test('ignore series beyond the limit of a worker', () => {
    const counts = new RetainedCounters()
    const series = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`i="${i}"`, 1]))
    counts.update(1, [counter(series)])
    assert.equal(counts.of(1)[0]!.series.length, 10_000)
  })

  test('are empty for a worker that reported nothing', () => {
    const counts = new RetainedCounters()
    counts.retain(1, 0)
    assert.deepEqual(counts.ofExited(), [])
  })
})

describe('families of one name', () => {
  test('with other buckets, of another release, never show an observation as faster than it was', () => {
    const store = new SeriesStore()
    store.add([histogram([0.5, 1, 5], [1, 2, 3, 4, 20])])
    store.add([histogram([0.1, 1, 2], [10, 20, 30, 40, 100])])
    assert.deepEqual(store.read(), [histogram([0.5, 1, 5], [11, 22, 33, 44, 120])])
  })

  test('take their buckets from the first one that has series', () => {
    const store = new SeriesStore()
    store.add([{ ...histogram([], []), series: [] }])
    store.add([histogram([0.5], [1, 2, 3])])
    assert.deepEqual(store.read(), [histogram([0.5], [1, 2, 3])])
  })

  test('of different types keep the first type', () => {
    const store = new SeriesStore()
    store.add([counter({ '': 1 })])
    store.add([{ ...counter({ '': 5 }), type: 'gauge' }])
    assert.deepEqual(store.read(), [counter({ '': 1 })])
  })

  test('that are summaries add counts and sums, and keep the first quantiles', () => {
    const summary = (values: Family['series'][number][1]): Family => ({
      name: 's',
      help: 'S.',
      type: 'summary',
      bounds: [0.5],
      series: [['', values]]
    })
    const store = new SeriesStore()
    store.add([summary([7, 2, 10])])
    store.add([summary(['NaN', 3, 5])])
    assert.deepEqual(store.read(), [summary([7, 5, 15])])
  })
})

test('a value that is not a list of metrics is refused', () => {
  const valid = [
    counter({ '': 1 }),
    histogram([1], [1, 2, 3]),
    { ...counter({}), type: 'gauge', series: [['', ['NaN']]] }
  ]
  assert.deepEqual(parseFamilies(valid), valid)
  const invalid = [
    undefined,
    null,
    {},
    [null],
    [7],
    [{ ...counter({}), name: 7 }],
    [{ ...counter({}), type: 'untyped' }],
    [{ ...counter({}), series: {} }],
    [{ ...counter({}), series: [['', 1]] }],
    [{ ...counter({}), series: [['', ['x']]] }],
    [{ ...counter({}), series: [['', [1, 2]]] }],
    [{ ...counter({}), series: [[1, [1]]] }],
    [histogram([1], [1, 2])],
    [{ ...histogram([1], [1, 2, 3]), bounds: ['1'] }]
  ]
  for (const value of invalid) assert.throws(() => parseFamilies(value), TypeError, JSON.stringify(value))
})
