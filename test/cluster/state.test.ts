import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connection, once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

interface Home {
  hits: number
  visits: number
  worker: { slot: number; pid: number; generation: number }
  host: string
}

test('visits are counted across workers, concurrent ones too', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 3 })
  const first = await once(service.port, 'GET', '/')
  const cookie = first.headers['set-cookie']!.split(';')[0]!
  const visit = async () => JSON.parse((await once(service.port, 'GET', '/', { cookie })).body) as Home
  const answers = await Promise.all(Array.from({ length: 20 }, visit))
  assert.deepEqual(
    answers.map(({ visits }) => visits).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 2)
  )
  assert.ok(new Set(answers.map(({ worker }) => worker.slot)).size > 1, 'several workers served')
})

test('with the embedded Redis, hits and sessions survive a restart and a crash of the primary', async (t) => {
  const runDir = temporaryFolder(t)
  let cookie = ''
  for (const [round, end] of (['SIGTERM', 'SIGKILL', 'SIGTERM'] as const).entries()) {
    const service = await startService(t, { runDir })
    const answer = await once(service.port, 'GET', '/', cookie ? { cookie } : {})
    cookie ||= answer.headers['set-cookie']!.split(';')[0]!
    const { hits, visits } = JSON.parse(answer.body) as Home
    assert.deepEqual({ hits, visits }, { hits: round + 1, visits: round + 1 })
    // The append-only file is synced every second: what a killed machine may lose, a killed primary does not.
    await service.stop(end)
  }
})

test('two services on one Redis share sessions, hits and the secret', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url }
  const [a, b] = await Promise.all([startService(t, { env, workers: 1 }), startService(t, { env, workers: 1 })])
  const first = await once(a.port, 'GET', '/')
  const cookie = first.headers['set-cookie']!.split(';')[0]!
  const { hits, visits } = JSON.parse((await once(b.port, 'GET', '/', { cookie })).body) as Home
  assert.deepEqual({ hits, visits }, { hits: 2, visits: 2 })
})

test('a sign-out holds on every worker, also for a request in flight', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 2 })
  const connection = await Connection.open(service.port)
  const body = JSON.stringify({ name: 'ada' })
  const answer = connection.expect()
  connection.socket.write(
    `POST /session HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  )
  const cookie = (await answer).headers['set-cookie']!.split(';')[0]!
  connection.close()
  const session = async () =>
    JSON.parse((await once(service.port, 'GET', '/session', { cookie })).body) as { name: string | null }
  assert.equal((await session()).name, 'ada')
  const [out] = await Promise.all([
    once(service.port, 'DELETE', '/session', { cookie }),
    ...Array.from({ length: 10 }, () => once(service.port, 'GET', '/', { cookie }))
  ])
  assert.equal(out!.status, 204)
  assert.equal((await session()).name, null)
})
