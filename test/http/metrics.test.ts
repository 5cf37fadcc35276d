import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counter } from 'prom-client'
import { startApp, Visitor } from '../helpers/app.ts'
import { parseMetrics } from '../helpers/metrics.ts'

/** The requests counted so far, by their labels. */
async function requests(visitor: Visitor): Promise<Record<string, number>> {
  const series = parseMetrics((await visitor.get('/metrics')).body)
  const counts: Record<string, number> = {}
  for (const [key, value] of series) {
    const found = /^http_request_duration_seconds_count\{method="(\w+)",route="([^"]*)",status_code="(\d+)"/.exec(key)
    if (found) counts[`${found[1]} ${found[2]} ${found[3]}`] = value
  }
  return counts
}

test('/metrics is a page in the Prometheus text format', async (t) => {
  const { app } = await startApp(t)
  const response = await app.inject('/metrics')
  assert.equal(response.statusCode, 200)
  assert.match(response.headers['content-type'] as string, /^text\/plain; version=0\.0\.4/)
  assert.ok(parseMetrics(response.body).size > 30)
})

test('every request is measured, by method, route template and status', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.get('/things/:id', async (request) => (request.params as { id: string }).id)
      scope.get('/fails', async () => {
        throw new Error('on purpose')
      })
    }
  })
  const visitor = new Visitor(app)
  for (const id of [1, 2, 3]) await visitor.get(`/things/${id}?page=${id}`)
  await visitor.get('/fails')
  await visitor.request({ method: 'PUT', path: '/things/4' })
  await visitor.get('/nowhere')
  await visitor.get('/nowhere/else')
  assert.deepEqual(await requests(visitor), {
    'GET /things/:id 200': 3,
    'GET /fails 500': 1,
    'PUT /things/:id 405': 1,
    'GET  404': 2
  })
  assert.equal((await requests(visitor))['GET /metrics 200'], 1, 'the scrape before this one')
})

test('the time of a request is in the histogram, in seconds', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.get('/slow', async () => new Promise((resolve) => setTimeout(() => resolve('done'), 60)))
    }
  })
  const visitor = new Visitor(app)
  await visitor.get('/slow')
  const series = parseMetrics((await visitor.get('/metrics')).body)
  const of = (suffix: string, le?: string) =>
    series.get(
      `http_request_duration_seconds_${suffix}{${le ? `le="${le}",` : ''}method="GET",route="/slow",status_code="200",worker="0"}`
    )
  assert.equal(of('count'), 1)
  assert.equal(of('bucket', '0.05'), 0)
  assert.equal(of('bucket', '+Inf'), 1)
  assert.ok(of('sum')! >= 0.059 && of('sum')! < 60, `${of('sum')} s`)
})

test('a metric of your own is on the page', async (t) => {
  const { app } = await startApp(t, {
    slot: 4,
    routes: async (scope) => {
      const orders = new Counter({ name: 'orders_total', help: 'Orders.', registers: [scope.metrics] })
      scope.post('/orders', async () => orders.inc())
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/orders')
  await visitor.post('/orders')
  assert.equal(parseMetrics((await visitor.get('/metrics')).body).get('orders_total{worker="4"}'), 2)
})

test('a worker that does not answer is left out; the page comes all the same', async (t) => {
  const { app, collected } = await startApp(t)
  collected.missing = [{ slot: 1, pid: 4711, why: 'no answer in 1000 ms' }]
  collected.primary = [
    {
      name: 'cluster_workers_desired',
      help: 'Wanted.',
      type: 'gauge',
      values: [{ value: 2, labels: { worker: 'primary' } }]
    }
  ]
  const response = await app.inject('/metrics')
  assert.equal(response.statusCode, 200)
  const series = parseMetrics(response.body)
  assert.equal(series.get('cluster_workers_desired{worker="primary"}'), 2)
  assert.ok(series.get('process_resident_memory_bytes{worker="0"}')! > 0)
})
