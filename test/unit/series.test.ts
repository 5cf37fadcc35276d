import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Family, parseFamilies, SeriesStore } from '../../src/ipc/series.ts'
import { RetainedCounters } from '../../src/primary/metrics/retained-counters.ts'

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

describe('counts', () => {
  test('go on when a worker ends, by slot, and stay when the slot is not wanted any more', () => {
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
      { slot: 0, counts: [counter({ 'a="2"': 2, 'a="1"': 6 })] },
      { slot: 1, counts: [counter({ 'a="1"': 7 })] }
    ])
  })

  test('of a worker never fall: what is heard late is older', () => {
    const counts = new RetainedCounters()
    counts.update(1, [counter({ '': 9 }), histogram([1], [4, 5, 50])])
    counts.update(1, [counter({ '': 8 }), histogram([1], [4, 4, 40])])
    assert.deepEqual(counts.of(1), [counter({ '': 9 }), histogram([1], [4, 5, 50])])
  })

  test('of more series than a worker can have are not kept', () => {
    const counts = new RetainedCounters()
    const series = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`i="${i}"`, 1]))
    counts.update(1, [counter(series)])
    assert.equal(counts.of(1)[0]!.series.length, 10_000)
  })

  test('of a worker that said nothing are none', () => {
    const counts = new RetainedCounters()
    counts.retain(1, 0)
    assert.deepEqual(counts.ofExited(), [])
  })
})

describe('what has one name', () => {
  test('and other buckets, of another release: nothing is said to be faster than it was', () => {
    const book = new SeriesStore()
    book.add([histogram([0.5, 1, 5], [1, 2, 3, 4, 20])])
    book.add([histogram([0.1, 1, 2], [10, 20, 30, 40, 100])])
    assert.deepEqual(book.read(), [histogram([0.5, 1, 5], [11, 22, 33, 44, 120])])
  })

  test('and no series yet has no buckets: those of another are taken', () => {
    const book = new SeriesStore()
    book.add([{ ...histogram([], []), series: [] }])
    book.add([histogram([0.5], [1, 2, 3])])
    assert.deepEqual(book.read(), [histogram([0.5], [1, 2, 3])])
  })

  test('and another type counts as the first says', () => {
    const book = new SeriesStore()
    book.add([counter({ '': 1 })])
    book.add([{ ...counter({ '': 5 }), type: 'gauge' }])
    assert.deepEqual(book.read(), [counter({ '': 1 })])
  })

  test('and is a summary: counts are added, quantiles are those of the first', () => {
    const summary = (values: Family['series'][number][1]): Family => ({
      name: 's',
      help: 'S.',
      type: 'summary',
      bounds: [0.5],
      series: [['', values]]
    })
    const book = new SeriesStore()
    book.add([summary([7, 2, 10])])
    book.add([summary(['NaN', 3, 5])])
    assert.deepEqual(book.read(), [summary([7, 5, 15])])
  })
})

test('what is no list of metrics is refused', () => {
  const right = [
    counter({ '': 1 }),
    histogram([1], [1, 2, 3]),
    { ...counter({}), type: 'gauge', series: [['', ['NaN']]] }
  ]
  assert.deepEqual(parseFamilies(right), right)
  const wrong = [
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
  for (const said of wrong) assert.throws(() => parseFamilies(said), TypeError, JSON.stringify(said))
})
