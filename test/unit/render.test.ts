import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pino } from 'pino'
import { Counter, Gauge, Histogram } from 'prom-client'
import { fillTemplate } from '../../src/http/pages/assets.ts'
import { createRegistry, readRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'
import { OPENMETRICS, render, TEXT } from '../../src/http/plugins/metrics/metrics-page.ts'
import type { Family } from '../../src/ipc/series.ts'
import { InternalErrors } from '../../src/primary/internal-errors.ts'
import { PrimaryMetrics } from '../../src/primary/metrics/primary-metrics.ts'
import { initialState } from '../../src/primary/policy/types.ts'
import type { Supervisor } from '../../src/primary/workers/supervisor.ts'
import { parseMetrics } from '../helpers/metrics.ts'

const BUCKETS = [0.1, 1]

/** What a worker of this slot answers to a collection, after it has served these requests. */
async function worker(
  slot: number,
  served: { seconds: number[]; connections: number; pages?: Record<string, number> }
) {
  const registry = createRegistry()
  const registers = [registry]
  const seconds = new Histogram({ name: 'test_seconds', help: 'Time.', buckets: BUCKETS, registers })
  for (const value of served.seconds) seconds.observe(value)
  new Gauge({ name: 'test_connections', help: 'Open now.', registers }).set(served.connections)
  const pages = new Counter({ name: 'test_pages_total', help: 'Served.', labelNames: ['page'], registers })
  for (const [page, count] of Object.entries(served.pages ?? {})) pages.inc({ page }, count)
  return { slot, ...(await readRegistry(registry)) }
}

/** The primary's own series, of a service with these workers wanted. */
function primary(desired = 2): Family[] {
  const router = { rerouted: 3, lost: 1 }
  const supervisor = {
    state: initialState(desired),
    router,
    pool: { live: () => [] },
    view: () => ({ state: 'running' })
  }
  return new PrimaryMetrics('1.2.3', new InternalErrors(pino({ level: 'silent' }))).read(
    supervisor as unknown as Supervisor,
    new Set()
  )
}

describe('the metrics page', () => {
  test('has every worker under its slot, and the primary under its own name', async () => {
    const workers = [
      await worker(0, { seconds: [0.05], connections: 3, pages: { home: 2 } }),
      await worker(1, { seconds: [0.5, 5], connections: 4, pages: { home: 5, about: 1 } })
    ]
    const series = parseMetrics(render({ workers, primary: primary(), missing: [] }, TEXT))
    assert.equal(series.get('test_connections{worker="0"}'), 3)
    assert.equal(series.get('test_connections{worker="1"}'), 4)
    assert.equal(series.get('test_pages_total{page="home",worker="0"}'), 2)
    assert.equal(series.get('test_pages_total{page="home",worker="1"}'), 5)
    assert.equal(series.get('test_pages_total{page="about",worker="1"}'), 1)
    assert.equal(series.get('test_seconds_count{worker="1"}'), 2)
    assert.equal(series.get('cluster_workers_desired{worker="primary"}'), 2)
    assert.equal(series.get('cluster_workers{status="ready",worker="primary"}'), 0)
    assert.equal(series.get('cluster_worker_restarts_total{reason="crash",worker="primary"}'), 0)
    assert.equal(series.get('cluster_connections_redispatched_total{worker="primary"}'), 3)
    assert.ok(series.get('process_resident_memory_bytes{worker="primary"}')! > 0)
    assert.ok(series.get('process_resident_memory_bytes{worker="0"}')! > 0)
    for (const name of series.keys()) assert.match(name, /worker="(0|1|primary)"/, 'a series without an owner')
  })

  test('sums counters and histograms of two workers that share a slot, and takes the gauges of the newer one', async () => {
    const workers = [
      await worker(0, { seconds: [0.05, 0.5], connections: 10, pages: { home: 1, about: 7 } }),
      await worker(0, { seconds: [0.05, 5], connections: 99, pages: { home: 20 } })
    ]
    const series = parseMetrics(render({ workers, primary: primary(), missing: [] }, TEXT))
    assert.equal(series.get('test_pages_total{page="home",worker="0"}'), 21)
    assert.equal(series.get('test_pages_total{page="about",worker="0"}'), 7)
    assert.equal(series.get('test_seconds_bucket{le="0.1",worker="0"}'), 2)
    assert.equal(series.get('test_seconds_bucket{le="1",worker="0"}'), 3)
    assert.equal(series.get('test_seconds_bucket{le="+Inf",worker="0"}'), 4)
    assert.equal(series.get('test_seconds_count{worker="0"}'), 4)
    // Each of the two was rounded down.
    const lacking = 5.6 - series.get('test_seconds_sum{worker="0"}')!
    assert.ok(lacking >= 0 && lacking < 2 * 2 ** -24, `${lacking}`)
    assert.equal(series.get('test_connections{worker="0"}'), 10)
  })

  test('says every series once, and what each name is once', async () => {
    const workers = [
      await worker(1, { seconds: [1], connections: 1, pages: { home: 1 } }),
      await worker(0, { seconds: [1], connections: 1, pages: { home: 1 } }),
      await worker(0, { seconds: [1], connections: 1, pages: { home: 1 } })
    ]
    const page = render({ workers, primary: primary(), missing: [] }, TEXT)
    // parseMetrics refuses a series that comes twice.
    assert.ok(parseMetrics(page).size > 100)
    for (const kind of ['HELP', 'TYPE']) {
      const names = [...page.matchAll(new RegExp(`^# ${kind} (\\S+)`, 'gm'))].map((match) => match[1]!)
      assert.deepEqual(names, [...new Set(names)], `${kind} lines`)
    }
  })

  test('has no name that promtool refuses: a gauge does not end in _total', async () => {
    const page = render(
      {
        workers: [await worker(0, { seconds: [], connections: 0 })],
        primary: primary(),
        missing: []
      },
      TEXT
    )
    assert.deepEqual(
      [...page.matchAll(/^# TYPE (\S+_total) gauge$/gm)].flatMap((match) => match[1]!),
      []
    )
    assert.match(page, /^# TYPE nodejs_eventloop_lag_seconds gauge$/m, "node's own metrics are there")
  })

  test('in OpenMetrics names counters without their ending, and says where it ends', async () => {
    const workers = [
      await worker(0, { seconds: [0.5], connections: Number.POSITIVE_INFINITY, pages: { 'a "b"\\': 2 } })
    ]
    const page = render({ workers, primary: [], missing: [] }, OPENMETRICS)
    assert.match(page, /^# TYPE test_pages counter\ntest_pages_total\{page="a \\"b\\"\\\\",worker="0"\} 2$/m)
    assert.match(page, /^test_seconds_bucket\{worker="0",le="\+Inf"\} 1$/m)
    assert.match(page, /^test_connections\{worker="0"\} \+Inf$/m)
    assert.ok(page.endsWith('\n# EOF\n'))
    assert.ok(!page.includes('\n\n'), 'no empty line')
  })

  test("is the primary's alone while no worker answers", async () => {
    const series = parseMetrics(render({ workers: [], primary: primary(3), missing: [] }, TEXT))
    assert.equal(series.get('cluster_workers_desired{worker="primary"}'), 3)
  })

  test('changes nothing of what was collected', async () => {
    const collection = { workers: [await worker(0, { seconds: [1], connections: 1 })], primary: primary(), missing: [] }
    const before = JSON.stringify(collection)
    render(collection, TEXT)
    assert.equal(JSON.stringify(collection), before)
  })
})

describe('a value in the page', () => {
  test('is text, whatever it is: it ends no attribute and begins no tag', () => {
    const name = `"><script>alert('1 & 2')</script>`
    assert.equal(
      fillTemplate('<b title="{{name}}">{{name}}</b> {{n}}', { name, n: 7 }),
      '<b title="&#34;&#62;&#60;script&#62;alert(&#39;1 &#38; 2&#39;)&#60;/script&#62;">' +
        '&#34;&#62;&#60;script&#62;alert(&#39;1 &#38; 2&#39;)&#60;/script&#62;</b> 7'
    )
  })

  test('is not read as a template itself', () => {
    assert.equal(fillTemplate('{{a}} {{b}}', { a: '{{b}} $& $1', b: 'x' }), '{{b}} $&#38; $1 x')
  })
})
