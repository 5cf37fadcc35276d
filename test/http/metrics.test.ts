import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { connect } from 'node:net'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Counter, Gauge } from 'prom-client'
import { startApp, type TestApp, Visitor } from '../helpers/app.ts'
import { parseMetrics } from '../helpers/metrics.ts'
import { missing } from '../helpers/programs.ts'
import { until } from '../helpers/until.ts'

/** Returns the current page. */
async function page(app: TestApp['app']): Promise<Map<string, number>> {
  return parseMetrics((await app.inject('/metrics')).body)
}

/** Returns the counted requests by their labels. */
async function requests(visitor: Visitor): Promise<Record<string, number>> {
  const series = parseMetrics((await visitor.get('/metrics')).body)
  const counts: Record<string, number> = {}
  for (const [key, value] of series) {
    const found = /^http_request_duration_seconds_count\{method="(\w+)",route="([^"]*)",status_code="(\d+)"/.exec(key)
    if (found && value > 0) counts[`${found[1]} ${found[2]} ${found[3]}`] = value
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

test('request durations are observed in seconds', async (t) => {
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

test('your own metrics are on the page', async (t) => {
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

test('a worker that does not answer is left out, and the page is still served', async (t) => {
  const { app, collected } = await startApp(t)
  collected.missing = [{ slot: 1, pid: 4711, why: 'no answer in 1000 ms' }]
  collected.primary = [
    {
      name: 'cluster_workers_desired',
      help: 'Wanted.',
      type: 'gauge',
      series: [['', [2]]]
    }
  ]
  const response = await app.inject('/metrics')
  assert.equal(response.statusCode, 200)
  const series = parseMetrics(response.body)
  assert.equal(series.get('cluster_workers_desired{worker="primary"}'), 2)
  assert.ok(series.get('process_resident_memory_bytes{worker="0"}')! > 0)
})

test('the page is served as OpenMetrics or compressed when the client accepts that', async (t) => {
  const { app } = await startApp(t)
  const headers = { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5', 'accept-encoding': 'gzip' }
  const response = await app.inject({ url: '/metrics', headers })
  assert.match(response.headers['content-type'] as string, /^application\/openmetrics-text; version=1\.0\.0/)
  assert.equal(response.headers['content-encoding'], 'gzip')
  const text = gunzipSync(response.rawPayload).toString()
  assert.match(text, /^# TYPE hits counter$/m)
  assert.ok(text.endsWith('# EOF\n'))
  const plain = await app.inject({ url: '/metrics', headers: { 'accept-encoding': 'br, gzip;q=0' } })
  assert.equal(plain.headers['content-encoding'], undefined)
  assert.ok(parseMetrics(plain.body).size > 30)
})

test('with METRICS_TOKEN the page requires that token', async (t) => {
  const token = 'a-token-of-some-length-32-or-more'
  const { app } = await startApp(t, { env: { METRICS_TOKEN: token } })
  const ask = (authorization?: string) =>
    app.inject({ url: '/metrics', headers: authorization === undefined ? {} : { authorization } })
  assert.equal((await ask(`Bearer ${token}`)).statusCode, 200)
  const refusals = await Promise.all([ask(), ask('Bearer wrong'), ask(`Basic ${token}`), ask(`Bearer ${token}x`)])
  for (const { statusCode, body } of refusals) {
    assert.equal(statusCode, 401)
    assert.equal(body, refusals[0]!.body)
  }
})

test('concurrent scrapes share one collection; they get 503 when the primary does not answer', async (t) => {
  const { app, collected } = await startApp(t)
  let asked = 0
  const count = () => {
    asked++
    return []
  }
  Object.defineProperty(collected, 'primary', { get: count, configurable: true })
  const answers = await Promise.all(Array.from({ length: 50 }, () => app.inject('/metrics')))
  assert.ok(answers.every(({ statusCode }) => statusCode === 200))
  assert.ok(asked < 5, `${asked} collections`)
  Object.defineProperty(collected, 'primary', {
    get: () => {
      throw new Error('no answer in 2000 ms')
    }
  })
  const response = await app.inject('/metrics')
  assert.equal(response.statusCode, 503)
  assert.equal(response.json().code, 'METRICS_UNAVAILABLE')
})

test('a metric that fails or never answers is left out and delays nothing', async (t) => {
  const { app } = await startApp(t)
  const registers = [app.metrics]
  new Gauge({ name: 'fails', help: 'x', registers, collect: () => Promise.reject(new Error('on purpose')) })
  new Gauge({ name: 'never', help: 'x', registers, collect: () => new Promise<void>(() => {}) })
  new Gauge({
    name: 'fine',
    help: 'x',
    registers,
    collect() {
      this.set(3)
    }
  })
  const series = await page(app)
  assert.equal(series.get('fine{worker="0"}'), 3)
  assert.ok(![...series.keys()].some((key) => /^(fails|never)\{/.test(key)))
})

test('sizes, requests in flight and aborted requests are measured', async (t) => {
  let release = () => {}
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.post('/echo', async (request) => request.body)
      scope.get('/waits', async () => new Promise((resolve) => (release = () => resolve('late'))))
    }
  })
  await app.inject({ method: 'POST', url: '/echo', payload: { text: 'x'.repeat(500) } })
  const sized = await page(app)
  for (const name of ['http_request_size_bytes', 'http_response_size_bytes']) {
    assert.equal(sized.get(`${name}_sum{method="POST",route="/echo",worker="0"}`), 511, name)
    assert.equal(sized.get(`${name}_bucket{le="100",method="POST",route="/echo",worker="0"}`), 0)
    assert.equal(sized.get(`${name}_bucket{le="1000",method="POST",route="/echo",worker="0"}`), 1)
  }
  assert.equal(sized.get('http_requests_in_flight{worker="0"}'), 1, 'the scrape itself')

  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  const aborted = 'http_requests_aborted_total{method="GET",route="/waits",worker="0"}'
  assert.equal(sized.get(aborted), 0)
  // Two requests at once on one connection: the second waits for the first.
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /waits HTTP/1.1\r\nhost: x\r\n\r\nGET /waits HTTP/1.1\r\nhost: x\r\n\r\n')
  const inFlight = async () => (await page(app)).get('http_requests_in_flight{worker="0"}')
  await until(async () => (await inFlight()) === 3, 'both are in flight')
  socket.destroy()
  await until(async () => (await inFlight()) === 1, 'none is in flight')
  release()
  const series = await page(app)
  assert.equal(series.get(aborted), 2)
  assert.equal(
    series.get('http_request_duration_seconds_count{method="GET",route="/waits",status_code="200",worker="0"}'),
    0
  )
})

test('the use of Redis is measured: hits and batches, commands, sessions, the circuit breaker', async (t) => {
  const { app, server } = await startApp(t)
  await Promise.all(Array.from({ length: 20 }, () => app.inject({ method: 'POST', url: '/hits' })))
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  await visitor.delete('/session')
  const of = (series: Map<string, number>, name: string, labels = '') =>
    series.get(`${name}{${[...labels.split(',').filter(Boolean), 'worker="0"'].sort().join(',')}}`)
  const series = await page(app)
  assert.equal(of(series, 'hits_total'), 20)
  assert.equal(of(series, 'hits_batch_size_sum'), 20)
  assert.ok(of(series, 'hits_batch_size_count')! <= 5)
  assert.ok(of(series, 'redis_command_duration_seconds_count', 'command="evalsha"')! >= 1)
  assert.equal(of(series, 'sessions_created_total'), 1)
  assert.equal(of(series, 'sessions_ended_total'), 1)
  assert.equal(of(series, 'session_conflicts_merged_total'), 0)
  assert.equal(of(series, 'redis_up'), 1)
  assert.equal(of(series, 'redis_circuit_state', 'state="closed"'), 1)
  assert.equal(of(series, 'redis_reconnects_total'), 0)
  await server.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until(async () => of(await page(app), 'redis_reconnects_total') === 1, 'a new connection')
  await until(async () => of(await page(app), 'redis_up') === 1, 'Redis is up')
  assert.equal(of(await page(app), 'redis_circuit_opened_total'), 1)
})

test('promtool accepts the page', { skip: missing('promtool') }, async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  await visitor.get('/nowhere')
  const { body } = await app.inject('/metrics')
  assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' }), '')
})
