import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const WRITERS = 50

/** Sets a key of its own to 1, 2, 3 … in the session of the cookie, until it is stopped. */
class Writer {
  readonly key: string
  acknowledged = 0
  sent = 0
  stopped = false
  /** What was answered in place of 200, or why nothing was. */
  readonly failures: string[] = []

  constructor(key: string) {
    this.key = key
  }

  async run(port: number, cookie: string): Promise<this> {
    let connection: Connection | undefined
    while (!this.stopped) {
      try {
        if (!connection || connection.ended) connection = await Connection.open(port)
        const value = ++this.sent
        const { status } = await connection.request('PUT', `/keys/${this.key}/${value}`, { cookie })
        if (status === 200) this.acknowledged = value
        else this.failures.push(String(status))
        await sleep(5)
      } catch (error) {
        this.failures.push((error as Error).message)
        connection = undefined
      }
    }
    connection?.close()
    return this
  }
}

/** A service on 4 workers, and 50 writers of the session of one user. */
async function start(t: TestContext) {
  const { url, client } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('session-writer') }, workers: 4 })
  const { status, headers, body } = await once(service.port, 'POST', '/sign-in')
  assert.equal(status, 200, body)
  const cookie = headers['set-cookie']!.split(';')[0]!
  const [key = ''] = await client.keys('muster:session:*')
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(`writer-${i}`))
  const running = writers.map((writer) => writer.run(service.port, cookie))
  t.after(() => {
    for (const writer of writers) writer.stopped = true
  })
  const stop = () => {
    for (const writer of writers) writer.stopped = true
    return Promise.all(running)
  }
  /** Resolves when every writer has had so many writes more acknowledged. */
  const progress = (more: number) => {
    const goals = writers.map((writer) => writer.acknowledged + more)
    return until(() => writers.every((writer, i) => writer.acknowledged >= goals[i]!), 'progress', 120_000)
  }
  return { service, client, cookie, key, stop, progress }
}

async function killOne(service: Service, nth: number): Promise<void> {
  const from = service.lines.length
  const alive = [...service.workers()]
  const [pid, { slot }] = alive[nth % alive.length]!
  process.kill(pid, 'SIGKILL')
  await service.line((line) => line.msg === 'worker ready' && line.slot === slot, from)
}

test('50 writers of one session keep every acknowledged write over kill -9 of workers', async (t) => {
  const { service, cookie, stop, progress } = await start(t)
  for (let i = 0; i < 3; i++) {
    await progress(2)
    await killOne(service, i)
  }
  await progress(2)
  const writers = await stop()
  const { body } = await once(service.port, 'GET', '/keys', { cookie })
  const data = JSON.parse(body) as Record<string, number>
  for (const { key, acknowledged, sent } of writers) {
    const value = data[key] ?? 0
    assert.ok(acknowledged <= value && value <= sent, `${key}: ${acknowledged} ≤ ${value} ≤ ${sent}`)
  }
  const kinds = new Map<string, number>()
  for (const kind of writers.flatMap(({ failures }) => failures)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  const writes = writers.reduce((sum, { sent }) => sum + sent, 0)
  t.diagnostic(`${writes} writes; not acknowledged: ${JSON.stringify([...kinds])}`)
})

const ways: [how: string, end: (service: Service, cookie: string) => Promise<unknown>][] = [
  ['its user signs out', ({ port }, cookie) => once(port, 'DELETE', '/sign-in', { cookie })],
  ['a command ends the sessions of its user', (service) => muster(service, 'sessions', 'end', 'ada')]
]
for (const [how, end] of ways) {
  test(`${how} amid 50 writers of the session: the session does not come back`, async (t) => {
    const { service, client, cookie, key, stop, progress } = await start(t)
    await progress(2)
    await end(service, cookie)
    assert.equal(await client.exists(key), 0)
    await progress(3)
    await stop()
    assert.equal(await client.exists(key), 0, 'it is back')
    const { body } = await once(service.port, 'GET', '/keys', { cookie })
    assert.equal(JSON.parse(body).name, undefined)
  })
}
