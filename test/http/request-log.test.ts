import assert from 'node:assert/strict'
import { once as event } from 'node:events'
import { connect } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { pino } from 'pino'
import { logOptions } from '../../src/common/log.ts'
import { traceOf } from '../../src/http/plugins/log/request-log.ts'
import { TOKENS } from '../helpers/admin.ts'
import { type AppOptions, startApp } from '../helpers/app.ts'
import { head } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

interface RequestLine {
  aborted?: boolean

  msg: string
  level: number
  worker: number
  generation: number
  reqId: string
  url: string
  status: number
  trace_id?: string
  span_id?: string
}

const [DEBUG, INFO, WARN] = [20, 30, 40]
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

const routes: FastifyPluginAsync = async (app) => {
  const config = { session: false } as const
  app.get('/say', { config }, async (request) => {
    request.log.info('said')
    request.log.debug('whispered')
    return {}
  })
  app.get('/loud', { config, logLevel: 'debug' }, async (request) => {
    request.log.debug('whispered')
    return {}
  })
  app.get('/silent', { config, logLevel: 'warn' }, async () => ({}))
  app.post('/upload', { config }, async ({ body }) => body)
  app.register(async (scope) => {
    scope.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
    scope.post('/stream', { config }, async ({ raw }) => {
      let bytes = 0
      for await (const chunk of raw) bytes += (chunk as Buffer).length
      return { bytes }
    })
  })
  app.get('/fails', { config }, async () => {
    throw new Error('no')
  })
}

/** An app with the log of a worker. @param options in addition to its routes */
async function start(t: TestContext, logLevel = 'info', options: Pick<AppOptions, 'listen' | 'env'> = {}) {
  const lines: RequestLine[] = []
  const write = (text: string) => void lines.push(JSON.parse(text))
  const log = pino(logOptions({ logLevel }, { role: 'worker', worker: 3, generation: 7 }), { write })
  return {
    ...(await startApp(t, { routes, log, slot: 3, ...options })),
    log,
    lines,
    of: (msg: string) => lines.filter((one) => one.msg === msg)
  }
}

test('a request is logged as one line when it ends, with its worker and a level that follows the status', async (t) => {
  const { app, of } = await start(t)
  for (const url of ['/say?token=hush', '/nope', '/fails', '/livez', '/metrics']) await app.inject(url)
  assert.deepEqual(
    of('request').map(({ url, status, level, worker, generation }) => [url, status, level, worker, generation]),
    [
      ['/say', 200, INFO, 3, 7],
      ['/nope', 404, INFO, 3, 7],
      ['/fails', 500, WARN, 3, 7]
    ]
  )
})

test('a request that logs no line does not serialize the bindings of its logger', async (t) => {
  const serialized: string[] = []
  const serializers = { reqId: (id: string) => serialized.push(id) }
  const log = pino({ level: 'info', serializers }, { write: () => {} })
  const { app } = await startApp(t, { routes, log })
  for (const id of ['quiet', 'loud']) {
    const url = id === 'quiet' ? '/livez' : '/say'
    await app.inject({ url, headers: { 'x-request-id': id } })
  }
  assert.deepEqual(serialized, ['loud'])
})

describe('the level', () => {
  test('can change at run time, and probes are logged at debug', async (t) => {
    const { app, log, of } = await start(t)
    log.level = 'debug'
    for (const url of ['/livez', '/say']) await app.inject(url)
    assert.deepEqual(
      of('request').map(({ url, level }) => [url, level]),
      [
        ['/livez', DEBUG],
        ['/say', INFO]
      ]
    )
    assert.equal(of('whispered').length, 1)
    log.level = 'error'
    await app.inject('/fails')
    assert.equal(of('request').length, 2)
    assert.equal(of('handler failed').length, 1)
  })

  test('can be set per route', async (t) => {
    const { app, of } = await start(t)
    for (const url of ['/loud', '/silent']) await app.inject(url)
    assert.deepEqual(
      of('request').map(({ url }) => url),
      ['/loud']
    )
    assert.equal(of('whispered').length, 1)
  })
})

test("the request id is the client's if it is valid, and appears in log lines and the answer", async (t) => {
  const { app, lines, of } = await start(t)
  const ask = async (given: string[]) => {
    lines.length = 0
    const headers = given.length === 0 ? {} : { 'x-request-id': given.length > 1 ? given : given[0]! }
    const answers = [await app.inject({ url: '/say', headers }), await app.inject({ url: '/nope', headers })]
    const ids = answers.map((answer) => answer.headers['x-request-id'])
    assert.deepEqual(
      of('request').map(({ reqId }) => reqId),
      ids
    )
    assert.equal(of('said')[0]?.reqId, ids[0])
    return ids
  }
  for (const id of ['abc.1', 'Root=1-67891233-abcdef012345678912345678', 'a'.repeat(128)]) {
    assert.deepEqual(await ask([id]), [id, id])
  }
  const unfit = [[], [''], ['a b'], ['a"b'], ['a\\b'], ['é'], ['<script>'], ['a'.repeat(129)], ['a', 'b']]
  for (const given of unfit) {
    const [first, second] = await ask(given)
    assert.match(String(first), /^[\w-]{12}-\d+$/, JSON.stringify(given))
    assert.notEqual(first, second)
  }
})

test('event streams have the request id too', async (t) => {
  const { app, draining } = await startApp(t, { env: TOKENS })
  // The streams of a draining worker end at once.
  draining.abort()
  const headers = { authorization: `Bearer ${TOKENS.ADMIN_READ_TOKEN}`, 'x-request-id': 'stream-1' }
  for (const url of ['/events', '/admin/events']) {
    const answer = await app.inject({ url, headers })
    assert.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8')
    assert.match(answer.body, /event: bye/)
    assert.equal(answer.headers['x-request-id'], 'stream-1', url)
  }
})

describe('a trace', () => {
  test('is in every log line of its request', async (t) => {
    const { app, lines } = await start(t)
    await app.inject({ url: '/say', headers: { traceparent: `00-${TRACE}-${SPAN}-01` } })
    assert.deepEqual(
      lines.slice(-2).map(({ msg, trace_id, span_id }) => [msg, trace_id, span_id]),
      [
        ['said', TRACE, SPAN],
        ['request', TRACE, SPAN]
      ]
    )
  })

  const valid = [`00-${TRACE}-${SPAN}-00`, `cc-${TRACE}-${SPAN}-01`, `cc-${TRACE}-${SPAN}-01-what-comes-later`]
  for (const header of valid) test(`is valid: ${header}`, () => assert.equal(traceOf(header)?.trace_id, TRACE))
  const invalid = [
    '',
    undefined,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-01.`,
    `00-${TRACE}-${SPAN}`,
    ` 00-${TRACE}-${SPAN}-01`
  ]
  for (const header of invalid) test(`is invalid: ${header}`, () => assert.equal(traceOf(header), undefined))
})

describe('an incomplete upload', () => {
  const half = (path: string, type: string) =>
    `${head('POST', path, { 'content-type': type, 'content-length': '100' })}{"a":`
  const uploads = { '/upload': 'application/json', '/stream': 'application/octet-stream' }
  /** Returns every line about requests and their handlers; none may come later. */
  const linesOf = async ({ lines, app }: Awaited<ReturnType<typeof start>>) => {
    await until(() => app.completion.inFlight() === 0 && lines.some(({ msg }) => msg === 'request'), 'the line')
    await new Promise((resolve) => setImmediate(resolve))
    return lines
      .filter(({ msg }) => !msg.startsWith('Redis'))
      .map(({ msg, url, status, level, aborted }) => ({ msg, url, status, level, aborted }))
  }

  for (const [path, type] of Object.entries(uploads)) {
    test(`after REQUEST_TIMEOUT gets 408, logged once and not as a failure: ${path}`, async (t) => {
      const started = await start(t, 'info', { listen: true, env: { HEADERS_TIMEOUT: '300', REQUEST_TIMEOUT: '300' } })
      const client = connect(started.port, '127.0.0.1', () => client.write(half(path, type)))
      let text = ''
      client.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
      await event(client, 'close')
      assert.match(text, /^HTTP\/1\.1 408 /)
      assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1)
      assert.deepEqual(await linesOf(started), [
        { msg: 'request', url: path, status: 408, level: INFO, aborted: undefined }
      ])
    })

    for (const leave of ['destroy', 'resetAndDestroy'] as const) {
      test(`of a client that leaves is logged once, as aborted and not as a failure: ${path}, ${leave}`, async (t) => {
        const started = await start(t, 'info', { listen: true })
        const client = connect(started.port, '127.0.0.1', () => client.write(half(path, type)))
        await until(() => started.app.completion.inFlight() === 1, 'the request')
        client[leave]()
        assert.deepEqual(await linesOf(started), [
          { msg: 'request', url: path, status: 200, level: INFO, aborted: true }
        ])
      })
    }
  }
})
