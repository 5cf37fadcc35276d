import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { type AppOptions, commandsDuring, startApp, Visitor } from '../helpers/app.ts'
import { until } from '../helpers/until.ts'

interface Frame {
  hits: number | null
  hitsPerSecond: number | null
  state: string
  [field: string]: unknown
}

/** Reads the events of a stream one by one. */
class Events {
  readonly #stream: Readable
  #text = ''

  constructor(stream: Readable) {
    this.#stream = stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      this.#text += text
    })
  }

  /** Returns the fields of the next event. */
  async next(): Promise<Record<string, string>> {
    while (!this.#text.includes('\n\n')) await once(this.#stream, 'data')
    const end = this.#text.indexOf('\n\n')
    const lines = this.#text.slice(0, end).split('\n')
    this.#text = this.#text.slice(end + 2)
    return Object.fromEntries(lines.map((line) => line.split(/: (.*)/s, 2)))
  }

  /** Returns the next snapshot that fulfils a condition. */
  async frame(matches: (frame: Frame) => boolean = () => true): Promise<Frame> {
    for (;;) {
      const frame = JSON.parse((await this.next()).data!) as Frame
      if (matches(frame)) return frame
    }
  }
}

/** Opens the stream as a browser does, over a real connection. */
async function watch(t: TestContext, options: AppOptions = {}) {
  const started = await startApp(t, options)
  const url = await started.app.listen({ port: 0, host: '127.0.0.1' })
  const open = async () => {
    const request = get(`${url}/events`, { agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return { response, events: new Events(response) }
  }
  return { ...started, ...(await open()), open }
}

test('/events streams hits, workers and the serving worker at once, and is never cached', async (t) => {
  const { app, response, events, view, pulse } = await watch(t, { slot: 2 })
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.equal(response.headers['cache-control'], 'no-store')
  assert.deepEqual(await events.next(), { retry: '250' })
  const { hits, hitsPerSecond, ...service } = await events.frame()
  assert.equal(hits, 0)
  assert.equal(hitsPerSecond, null)
  assert.deepEqual(service, {
    state: 'running',
    desired: 1,
    workers: view.workers.map((worker) => ({ ...worker, requests: 0 })),
    servedBy: { slot: 2, pid: process.pid, generation: 1 },
    banner: ''
  })
  view.state = 'reloading'
  pulse[0]!.requests = 7
  await new Visitor(app).post('/hits')
  const counted = await events.frame((frame) => frame.hits === 1)
  assert.ok(counted.hitsPerSecond! > 0 && counted.hitsPerSecond! <= 2, `${counted.hitsPerSecond} a second`)
  assert.equal(counted.state, 'reloading')
  assert.equal((counted.workers as { requests: number }[])[0]!.requests, 7)
})

test('a draining worker says bye and ends its streams, also new ones', async (t) => {
  const { app, response, events, draining } = await watch(t)
  await events.next()
  await events.frame()
  const ended = once(response, 'end')
  draining.abort()
  const bye = await events.next()
  assert.equal(bye.event, 'bye')
  assert.equal(bye.retry, '250')
  await ended
  const late = await app.inject('/events')
  assert.match(late.body, /event: bye/)
  assert.equal((await app.inject({ method: 'HEAD', url: '/events' })).statusCode, 405, 'a stream of nothing')
})

test('the stream continues while Redis is away, with null for the hits', async (t) => {
  const { events, server } = await watch(t, { env: { REDIS_TIMEOUT: '1000' } })
  await events.next()
  assert.equal((await events.frame()).hits, 0)
  process.kill(server.pid(), 'SIGSTOP')
  try {
    const frame = await events.frame(({ hits }) => hits === null)
    assert.equal(frame.hitsPerSecond, null)
    assert.equal(frame.state, 'running')
  } finally {
    process.kill(server.pid(), 'SIGCONT')
  }
})

test('streams of a worker share one read of the counter per second, and without clients there is none', async (t) => {
  const { redis, response, events, open } = await watch(t)
  const others = await Promise.all(Array.from({ length: 9 }, open))
  const all = [events, ...others.map((other) => other.events)]
  for (const one of all) {
    await one.next()
    await one.frame()
  }
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const watching = timers()
  const frames = 3
  const commands = await commandsDuring(redis, async () => {
    for (let i = 0; i < frames; i++) await Promise.all(all.map((one) => one.frame()))
  })
  // One read per client would be ten times as many.
  assert.ok((commands.get ?? 0) <= 2 * frames, JSON.stringify(commands))
  for (const one of [response, ...others.map((other) => other.response)]) one.destroy()
  await until(() => timers() < watching, 'the timer is gone')
})
