import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Histogram, Registry } from 'prom-client'
import { CachedHistogram } from '../../src/http/plugins/metrics/cached-histogram.ts'
import { changesOf, readRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'
import { OPENMETRICS, render, TEXT } from '../../src/http/plugins/metrics/metrics-page.ts'
import { type Exemplar, type Family, parseFamilies, SeriesStore } from '../../src/ipc/series.ts'

const histogram = (bounds: number[], values: number[], exemplars?: Exemplar[]): Family => ({
  name: 'wait_seconds',
  help: 'Wait.',
  type: 'histogram',
  bounds,
  series: [exemplars ? ['', values, exemplars] : ['', values]]
})
const exemplar = (trace: string, value: number, atS: number): Exemplar => [`trace_id="${trace}"`, value, atS]
const traced = (trace_id: string) => ({ trace_id, span_id: 's' })
const exemplarsOf = (families: Family[]) => families[0]?.series[0]?.[2]

describe('exemplars', () => {
  test('a bucket keeps its newest one, and observations without a trace leave it', async () => {
    const registry = new Registry()
    const seconds = new CachedHistogram({ name: 's', help: 'S.', buckets: [1, 5], registers: [registry] }).labels()
    seconds.observe(0.5)
    assert.equal(exemplarsOf((await readRegistry(registry)).counters), undefined)
    seconds.observe(0.4, traced('a'))
    seconds.observe(0.3, traced('b'))
    seconds.observe(9, traced('c'))
    seconds.observe(0.2)
    const found = exemplarsOf((await readRegistry(registry)).counters)!
    assert.deepEqual(
      found.map(([labels, value]) => [labels, value]),
      [
        ['span_id="s",trace_id="b"', 0.3],
        ['span_id="s",trace_id="c"', 9]
      ]
    )
    for (const [, , atS] of found) assert.ok(Math.abs(atS - Date.now() / 1000) < 60)
  })

  test('are sent with the heartbeat, with the counts that have changed', async () => {
    const registry = new Registry()
    const seconds = new CachedHistogram({ name: 's', help: 'S.', buckets: [1], registers: [registry] }).labels()
    const changes = changesOf(registry)
    seconds.observe(0.4, traced('a'))
    assert.equal(exemplarsOf(await changes())?.length, 1)
    assert.deepEqual(await changes(), [])
  })

  test("of the app's own histograms of prom-client are passed on", async () => {
    const registry = new Registry()
    // prom-client allows exemplars in such a registry only, and does not declare the parameter of its constructor.
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
    const own = new Histogram({
      name: 'own',
      help: 'O.',
      buckets: [1],
      enableExemplars: true,
      registers: [registry]
    })
    own.observe({ value: 2, labels: {}, exemplarLabels: { order: 'a"b' } })
    const [labels, value] = exemplarsOf((await readRegistry(registry)).counters)![0]!
    assert.deepEqual([labels, value], ['order="a\\"b"', 2])
  })

  test('of several processes are merged: each bucket has the newest one', () => {
    const store = new SeriesStore()
    store.add([histogram([1, 5], [1, 2, 3, 9], [exemplar('old', 0.5, 10), exemplar('kept', 3, 30)])])
    store.add([histogram([1, 5], [1, 2, 3, 9], [exemplar('new', 0.7, 20), exemplar('older', 4, 20)])])
    store.add([histogram([1, 5], [1, 1, 1, 1])])
    assert.deepEqual(store.read(), [
      histogram([1, 5], [3, 5, 7, 19], [exemplar('new', 0.7, 20), exemplar('kept', 3, 30)])
    ])
  })

  test('move to the bucket of their value when a new release has other buckets', () => {
    const store = new SeriesStore()
    store.add([histogram([1, 5], [0, 1, 1, 3], [exemplar('x', 3, 10)])])
    store.add([histogram([2, 4], [0, 0, 0, 0])])
    const page = render(
      { workers: [{ slot: 0, counters: store.read(), others: [] }], primary: [], missing: [] },
      OPENMETRICS
    )
    assert.match(page, /le="5"\} 1 # \{trace_id="x"\} 3 10\.000\n/)
  })

  test('are on the page in OpenMetrics, each beside its bucket, and not in the text format', () => {
    const exemplars = [exemplar('a', 0.5, 1700000000.1234), exemplar('b', 7, 1700000001)]
    const collection = {
      workers: [{ slot: 0, counters: [histogram([1, 5], [1, 1, 2, 7.5], exemplars)], others: [] }],
      primary: [],
      missing: []
    }
    const lines = (type: typeof OPENMETRICS | typeof TEXT) =>
      render(collection, type)
        .split('\n')
        .filter((line) => line.startsWith('wait_seconds_bucket'))
    assert.deepEqual(lines(OPENMETRICS), [
      'wait_seconds_bucket{worker="0",le="1"} 1 # {trace_id="a"} 0.5 1700000000.123',
      'wait_seconds_bucket{worker="0",le="5"} 1',
      'wait_seconds_bucket{worker="0",le="+Inf"} 2 # {trace_id="b"} 7 1700000001.000'
    ])
    assert.doesNotMatch(render(collection, TEXT), /trace_id/)
  })

  test('a worker cannot make them grow, or send something else', () => {
    const valid = histogram([1], [0, 0, 0], [exemplar('a', 0.5, 1), exemplar('b', 2, 1)])
    assert.deepEqual(parseFamilies([valid]), [valid])
    const wrong: unknown[] = [
      [exemplar('a', 1, 1), exemplar('b', 1, 1), exemplar('c', 1, 1)],
      [['x'.repeat(600), 1, 1]],
      [['a="b"', 'NaN', 1]],
      [['a="b"', 1]],
      [['a="b"\n', 1, 1]],
      'text'
    ]
    for (const exemplars of wrong) {
      assert.throws(() => parseFamilies([histogram([1], [0, 0, 0], exemplars as Exemplar[])]), TypeError)
    }
  })
})
