import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { WebSocket } from 'ws'
import { EXAMPLES, ROOT } from '../helpers/documents.ts'
import { Connection, head } from '../helpers/http.ts'
import { temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { Walkthrough, type WalkthroughOptions } from '../helpers/walkthrough.ts'
import '../helpers/takes-long.ts'

const follow = (t: TestContext, name: string, options?: WalkthroughOptions) =>
  Walkthrough.follow(t, `examples/${name}/README.md`, options)

/** Requests of one client, which keeps its cookie. */
function clientOf(url: string) {
  let cookie = ''
  return async (method: string, path: string, body?: object) => {
    const response = await fetch(url + path, {
      method,
      headers: { cookie, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) })
    })
    cookie = response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? cookie
    const text = await response.text()
    return { status: response.status, json: text && JSON.parse(text) }
  }
}

test('the JSON API: users see their own todos, and a reload signs no user out', async (t) => {
  const { service } = await follow(t, 'json-api')
  const [ada, bob] = [clientOf(service.url), clientOf(service.url)]
  const password = 'correct horse battery'
  assert.equal((await ada('POST', '/accounts', { user: 'ada', password })).status, 409)
  assert.equal((await ada('POST', '/sign-in', { user: 'ada', password: 'wrong password' })).status, 401)
  assert.equal((await ada('POST', '/sign-in', { user: 'nemo', password })).status, 401)
  assert.equal((await ada('POST', '/sign-in', { user: 'ada' })).status, 400)
  assert.deepEqual(await ada('POST', '/sign-in', { user: 'ada', password }), { status: 200, json: { user: 'ada' } })
  assert.equal((await bob('POST', '/accounts', { user: 'bob', password })).status, 201)
  assert.deepEqual((await bob('GET', '/todos')).json, [])
  assert.equal((await bob('DELETE', '/todos/1')).status, 404)
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual((await ada('GET', '/todos')).json, [{ id: 1, text: 'write the program' }])
  assert.equal((await ada('DELETE', '/todos/1')).status, 204)
  assert.deepEqual((await ada('GET', '/todos')).json, [])
  assert.equal((await ada('POST', '/sign-out')).status, 204)
  assert.equal((await ada('GET', '/todos')).status, 401)
})

/** A client of the chat that connects again when the server closes the WebSocket, as the page does. */
class ChatClient {
  readonly messages = new Map<number, string>()
  readonly codes: number[] = []
  readonly errors: Error[] = []
  socket!: WebSocket
  readonly #url: string

  constructor(t: TestContext, url: string) {
    this.#url = `${url.replace('http', 'ws')}/chat`
    this.#connect()
    t.after(() => this.socket.removeAllListeners('close').terminate())
  }

  async say(text: string): Promise<void> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, 'open')
    this.socket.send(JSON.stringify({ name: 'ada', text }))
    await this.hears(text)
  }

  hears(text: string): Promise<void> {
    return until(() => [...this.messages.values()].includes(text), `the message ${text}`)
  }

  #connect(): void {
    this.socket = new WebSocket(this.#url)
    this.socket.on('message', (data) => {
      const { id, text } = JSON.parse(String(data)) as { id: number; text: string }
      this.messages.set(id, text)
    })
    this.socket.on('error', (error) => this.errors.push(error))
    this.socket.on('close', (code) => {
      this.codes.push(code)
      this.#connect()
    })
  }
}

test('the chat: every client hears every message, and a reload closes no WebSocket', async (t) => {
  const { service } = await follow(t, 'chat')
  const clients = Array.from({ length: 4 }, () => new ChatClient(t, service.url))
  const [first, last] = [clients[0]!, clients[3]!]
  await first.say('before')
  await Promise.all(clients.map((client) => client.hears('before')))
  assert.equal((await service.reload()).msg, 'rollout done')
  await last.say('after')
  await Promise.all(clients.map((client) => client.hears('after')))
  for (const { messages, errors } of clients)
    assert.deepEqual([[...messages.values()], errors], [['before', 'after'], []])
  first.socket.send('no JSON')
  first.socket.send(JSON.stringify({ name: 'ada', text: ' ' }))
  await first.say('the end')
  assert.equal(first.messages.size, 3)
  assert.deepEqual(
    clients.map(({ codes }) => codes),
    [[], [], [], []],
    'a WebSocket was closed'
  )
})

test('uploads: a file comes back as it was, and one that breaks off leaves nothing', async (t) => {
  const UPLOADS = temporaryFolder(t)
  const { service } = await follow(t, 'uploads', { env: { UPLOADS } })
  const before = readdirSync(UPLOADS)
  const bytes = Buffer.alloc(5_000_000, 'muster ')
  const form = new FormData()
  form.set('file', new Blob([bytes]), 'größe 1.bin')
  const stored = (await (await fetch(`${service.url}/files`, { method: 'POST', body: form })).json()) as { id: string }
  assert.equal((await service.reload()).msg, 'rollout done')
  const answer = await fetch(`${service.url}/files/${stored.id}`)
  assert.equal(answer.headers.get('content-disposition'), "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.bin")
  assert.ok(bytes.equals(Buffer.from(await answer.arrayBuffer())))
  assert.equal((await fetch(`${service.url}/files/..%2Fapp.js`)).status, 404)

  const cut = await Connection.open(service.port)
  const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '1000000' }
  cut.socket.write(head('POST', '/files', headers))
  cut.socket.write('--x\r\ncontent-disposition: form-data; name="file"; filename="cut"\r\n\r\nbegin')
  await until(() => readdirSync(UPLOADS).some((name) => name.endsWith('.part')), 'the beginning of a file')
  cut.close()
  await until(() => !readdirSync(UPLOADS).some((name) => name.endsWith('.part')), 'the end of it')
  assert.deepEqual(readdirSync(UPLOADS).sort(), [...before, stored.id].sort())
})

test('jobs: each period has one report, whichever worker wrote it, also over a reload', async (t) => {
  const { service } = await follow(t, 'jobs', { env: { PERIOD_MS: '200' } })
  type Report = { period: string; by: number }
  const reports = async () => (await (await fetch(`${service.url}/reports`)).json()) as Report[]
  const old = new Set(service.workers().keys())
  assert.equal((await service.reload()).msg, 'rollout done')
  await until(async () => (await reports()).filter(({ by }) => !old.has(by)).length >= 3, 'reports of new workers')
  const found = await reports()
  assert.ok(found.some(({ by }) => old.has(by)))
  assert.equal(new Set(found.map(({ period }) => period)).size, found.length)
  const sent = async () =>
    ((await (await fetch(`${service.url}/invoices/2026-12`, { method: 'POST' })).json()) as { sent: boolean }).sent
  const answers = await Promise.all(Array.from({ length: 8 }, sent))
  assert.equal(answers.filter(Boolean).length, 1)
})

test('express: a reload answers a slow request, and the SIGTERM handler of the app runs in each old worker', async (t) => {
  const { service } = await follow(t, 'express')
  const slow = fetch(`${service.url}/slow`)
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual(await (await slow).json(), { slow: true })
  await service.until(() => service.lines.filter(({ msg }) => msg === 'closed').length === 2, 'two closed servers')
  assert.equal((await fetch(`${service.url}/shout`, { method: 'POST' })).status, 400)
})

test('each example is in the list, and its app has at most 100 lines', () => {
  const names = readdirSync(join(ROOT, 'examples')).filter((name) => name !== 'README.md')
  assert.deepEqual(
    EXAMPLES.map((page) => basename(dirname(page)))
      .filter((name) => name !== 'examples')
      .sort(),
    names.sort()
  )
  const list = readFileSync(join(ROOT, 'examples/README.md'), 'utf8')
  for (const name of names) {
    assert.ok(list.includes(`[${name}](${name}/README.md)`), name)
    assert.ok(readFileSync(join(ROOT, 'examples', name, 'app.js'), 'utf8').split('\n').length <= 101, name)
  }
})
