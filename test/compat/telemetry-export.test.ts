import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { isServer } from '../helpers/otlp-receiver.ts'
import { Prometheus } from '../helpers/prometheus.ts'
import { muster } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { FOLDER } from './installed.ts'
import { KeepAliveLoad } from './keep-alive-load.ts'
import { startTraced, whySkipped } from './start-traced.ts'

const skip = whySkipped()
const OPENMETRICS = { accept: 'application/openmetrics-text; version=1.0.0' }
const EXEMPLAR =
  /^http_request_duration_seconds_bucket\{.*\} \d+ # \{span_id="([0-9a-f]{16})",trace_id="([0-9a-f]{32})"\} [\d.e-]+ [\d.]+$/gm
/** No batch of spans is sent by time: only the end of a worker sends them, or a full batch. */
const ONLY_AT_THE_END = { OTEL_BSP_SCHEDULE_DELAY: '600000', OTEL_BSP_MAX_QUEUE_SIZE: '100000' }

test('an exemplar of /metrics leads to a trace that the receiver has', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t, {}, 2)
  for (let nth = 0; nth < 4; nth++) await (await fetch(service.url, { headers: { connection: 'close' } })).text()
  const page = await (await fetch(`${service.url}/metrics`, { headers: OPENMETRICS })).text()
  const exemplars = [...page.matchAll(EXEMPLAR)]
  assert.ok(exemplars.length > 0, page)
  for (const [line, spanId, traceId] of exemplars) {
    const span = await receiver.span((one) => one.spanId === spanId, `the span of ${line}`)
    assert.equal(span.traceId, traceId)
    assert.ok(line.includes(`route="${span.attributes['http.route']}"`), line)
  }
  assert.doesNotMatch(await (await fetch(`${service.url}/metrics`)).text(), /trace_id/, 'the older format has none')
})

test('Prometheus stores exemplars that lead to traces', { skip: whySkipped('prometheus') }, async (t) => {
  const { service, receiver } = await startTraced(t, {}, 2)
  await (await fetch(service.url)).text()
  const prometheus = await Prometheus.start(t, service.port, { flags: ['--enable-feature=exemplar-storage'] })
  let traces: string[] = []
  await until(async () => {
    const exemplars = await prometheus.exemplars('http_request_duration_seconds_bucket{route="/"}')
    traces = exemplars.map(({ labels }) => labels.trace_id!)
    return traces.length > 0
  }, 'an exemplar')
  for (const trace of traces) await receiver.span(({ traceId }) => traceId === trace, 'the trace of the exemplar')
})

test('no span is lost in a reload and a stop: workers send the last ones before they exit', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t, ONLY_AT_THE_END, 2)
  const load = new KeepAliveLoad(t, service.port, {})
  assert.equal((await service.reload()).msg, 'rollout done')
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  const spans = receiver.spans.filter(isServer)
  assert.deepEqual([...new Set(spans.map(({ resource }) => resource['muster.generation']))].sort(), [1, 2])
  assert.equal(spans.length, load.answered)
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, load.answered)
})

test('exemplars and traces continue in the workers of a new release', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t, {}, 2)
  await (await fetch(service.url)).text()
  await receiver.span(({ resource }) => resource['muster.generation'] === 1, 'a span of the first release')
  assert.equal((await service.reload()).msg, 'rollout done')
  await (await fetch(service.url)).text()
  const span = await receiver.span(({ resource }) => resource['muster.generation'] === 2, 'a span of the new release')
  await until(async () => {
    const page = await (await fetch(`${service.url}/metrics`, { headers: OPENMETRICS })).text()
    return [...page.matchAll(EXEMPLAR)].some(([, , traceId]) => traceId === span.traceId)
  }, 'the exemplar of the new release')
})

test('a request that moves to another worker is a span in each, of one trace', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t)
  const client = get(`${service.url}/stream`)
  const [response] = (await once(client, 'response')) as [IncomingMessage]
  await once(response, 'data')
  assert.equal((await service.reload()).msg, 'rollout done')
  const first = await receiver.span(isServer, 'the span in the first worker')
  assert.equal(first.attributes['muster.transferred'], true)
  response.on('error', () => {})
  client.destroy()
  const second = await receiver.span(
    (one) => isServer(one) && one.spanId !== first.spanId,
    'the span in the second one'
  )
  assert.equal(second.attributes['muster.client_left'], true)
  assert.deepEqual(
    [first, second].map(({ name, resource }) => [name, resource['muster.generation']]),
    [
      ['GET /stream', 1],
      ['GET /stream', 2]
    ]
  )
})

test('a receiver that is away delays no request and no stop', { skip }, async (t) => {
  const { service } = await startTraced(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' })
  for (let nth = 0; nth < 3; nth++) assert.equal((await fetch(service.url)).status, 200)
  const { why } = await service.line(({ msg }) => msg === 'telemetry problem')
  assert.match(String(why), /ECONNREFUSED/)
  assert.equal((await muster(service, 'ping')).code, 0)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('spans are sent in protobuf unless the environment says JSON', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t, { OTEL_EXPORTER_OTLP_PROTOCOL: '' })
  await (await fetch(service.url)).text()
  await until(() => receiver.binary.some((body) => body.includes('muster.generation')), 'spans in protobuf')
})

test('an SDK that a preload has started is used in place of an own one', { skip }, async (t) => {
  const preload = join(FOLDER, 'apps', 'own-sdk.mjs')
  const { service, receiver } = await startTraced(t, { NODE_OPTIONS: `--import "${preload}"` })
  await (await fetch(service.url)).text()
  const span = await receiver.span(isServer, 'a span')
  assert.equal(span.resource['service.name'], 'made by the preload')
  assert.equal((await service.stop()).code, 0)
})
