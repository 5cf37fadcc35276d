import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLIENT_KIND, ERROR_STATUS, isServer, type ReceivedSpan } from '../helpers/otlp-receiver.ts'
import { until } from '../helpers/until.ts'
import { startTraced, whySkipped } from './start-traced.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CALLER = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` }
const skip = whySkipped()

const namesOf = (spans: ReceivedSpan[]) => spans.map(({ name }) => name)

test('a request is a span of the trace that its client names, by the conventions for HTTP', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t, { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test' })
  const headers = { ...CALLER, 'user-agent': 'a test', 'content-type': 'application/json' }
  const response = await fetch(`${service.url}/echo/7?password=secret`, { method: 'POST', headers, body: '{"a":1}' })
  assert.deepEqual(await response.json(), { a: 1 })

  const span = await receiver.span(isServer, 'the span of the request')
  assert.equal(span.name, 'POST /echo/:id')
  assert.equal(span.traceId, TRACE)
  assert.equal(span.parentSpanId, 'b7ad6b7169203331')
  const { 'fastify.root': _, ...attributes } = span.attributes
  assert.deepEqual(attributes, {
    'http.request.method': 'POST',
    'http.route': '/echo/:id',
    'http.response.status_code': 200,
    'url.path': '/echo/7',
    'url.scheme': 'http',
    'server.address': '127.0.0.1',
    'server.port': service.port,
    'client.address': '127.0.0.1',
    'network.protocol.version': '1.1',
    'user_agent.original': 'a test'
  })
  const { resource } = span
  assert.equal(resource['service.name'], 'muster-compat')
  assert.equal(resource['deployment.environment.name'], 'test')
  assert.equal(resource['muster.slot'], 0)
  assert.equal(resource['muster.generation'], 1)
  assert.ok(service.workers().has(Number(resource['process.pid'])))

  // The hook before the handler runs after the body was read, in another turn of the event loop.
  const [before, handler] = receiver.below(span)
  assert.equal(before?.name, 'GET')
  assert.match(handler?.name ?? '', /^handler - /)
  const commands = receiver.below(handler!)
  assert.deepEqual(namesOf(commands).sort(), ['GET', 'SET'])
  for (const { kind, attributes } of [before!, ...commands]) {
    assert.equal(kind, CLIENT_KIND)
    assert.equal(attributes['db.system.name'], 'redis')
    assert.ok(attributes['server.port'])
  }
  assert.doesNotMatch(JSON.stringify(receiver.spans), /secret/)
})

test('reading and storing a session are spans, and their commands are spans below them', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t)
  const first = await fetch(service.url)
  const cookie = first.headers.getSetCookie()[0]!.split(';', 1)[0]!
  await first.text()
  await (await fetch(service.url, { headers: { cookie, ...CALLER } })).text()
  const span = await receiver.span((one) => isServer(one) && one.traceId === TRACE, 'the span of the second request')
  await until(() => receiver.below(span).length >= 3, 'the spans below it')
  const parts = receiver.below(span)
  const named = (name: string) => parts.find((part) => part.name.startsWith(name))
  const [load, handler, store] = [named('session load'), named('handler - '), named('session store')]
  assert.ok(load && handler && store && parts.length === 3, parts.map(({ name }) => name).join(', '))
  for (const one of [load, handler, store]) {
    assert.deepEqual(new Set(receiver.below(one).map(({ kind }) => kind)), new Set([CLIENT_KIND]), one.name)
  }
  assert.doesNotMatch(JSON.stringify(receiver.spans), new RegExp(cookie.slice('sid='.length, 'sid='.length + 20)))
})

test('every log line of a request has the ids of its span', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t)
  await (await fetch(service.url, { headers: CALLER })).text()
  const span = await receiver.span(isServer, 'the span of the request')
  const handler = receiver.below(span).find(({ name }) => name.startsWith('handler'))!
  const ids = ({ spanId }: ReceivedSpan) => ({ trace_id: TRACE, span_id: spanId, trace_flags: '01' })
  const lineOf = async (text: string) => {
    const { trace_id, span_id, trace_flags } = await service.line(({ msg }) => msg === text)
    return { trace_id, span_id, trace_flags }
  }
  assert.deepEqual(await lineOf('by the logger of the request'), ids(span))
  assert.deepEqual(await lineOf('request'), ids(span))
  assert.deepEqual(await lineOf('by the logger of the app'), ids(handler))
})

test('an error of the app is an error of the span, and a request that is refused is none', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t)
  for (const path of ['/fail', '/nowhere']) await (await fetch(service.url + path)).text()
  const failed = await receiver.span(({ name }) => name === 'GET /fail', 'the span of the failure')
  assert.equal(failed.status?.code, ERROR_STATUS)
  assert.equal(failed.attributes['http.response.status_code'], 500)
  assert.equal(failed.attributes['error.type'], '500')
  const refused = await receiver.span(({ attributes }) => attributes['url.path'] === '/nowhere', 'the other span')
  assert.equal(refused.attributes['http.response.status_code'], 404)
  assert.notEqual(refused.status?.code, ERROR_STATUS)
})

test('probes and scrapes have no spans', { skip }, async (t) => {
  const { service, receiver } = await startTraced(t)
  for (const path of ['/livez', '/readyz', '/metrics', '/fail']) await (await fetch(service.url + path)).text()
  assert.equal((await service.stop()).code, 0)
  assert.deepEqual(namesOf(receiver.spans.filter(isServer)), ['GET /fail'])
})
