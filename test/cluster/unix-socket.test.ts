import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

interface Who {
  slot: number
  generation: number
  ip: string
}

/** Asks over a Unix socket; the agent decides whether the connection is kept. */
function ask(
  socketPath: string,
  agent: Agent,
  headers: Record<string, string> = {}
): Promise<Who & { reused: boolean }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/who/1', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ ...(JSON.parse(text) as Who), reused: asked.reusedSocket }))
    })
    asked.on('error', reject).end()
  })
}

async function startOnPath(t: TestContext, env: Record<string, string>) {
  const path = join(temporaryFolder(t), 'http.sock')
  const { url } = await startRedis(t)
  const own = { REDIS_URL: url, APP: fixture('who'), HOST: path, KEEP_ALIVE_TIMEOUT: '60000' }
  return { path, service: await startService(t, { env: { ...own, ...env } }) }
}

for (const scheduling of ['rr', 'shared', 'sticky']) {
  test(`${scheduling}: HOST=/path listens on a Unix socket; a reload keeps its connections; a stop removes the file`, async (t) => {
    const { path, service } = await startOnPath(t, { SCHEDULING: scheduling, TRUST_PROXY: '127.0.0.1' })
    const kept = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => kept.destroy())
    const direct = await ask(path, kept)
    assert.equal(direct.ip, '127.0.0.1', 'a local process counts as loopback')
    const proxied = await ask(path, kept, { 'x-forwarded-for': '192.0.2.7' })
    assert.equal(proxied.ip, '192.0.2.7')
    assert.equal((await service.reload()).msg, 'rollout done')
    const after = await ask(path, kept)
    assert.equal(after.generation, 2)
    assert.equal(after.reused, true, 'on the same connection')
    assert.equal(after.ip, '127.0.0.1')
    kept.destroy()
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
    assert.equal(existsSync(path), false)
  })
}

test('with sticky, X-Forwarded-For distinguishes clients behind a proxy on a Unix socket', async (t) => {
  const { path } = await startOnPath(t, { SCHEDULING: 'sticky', TRUST_PROXY: '127.0.0.1' })
  const fresh = new Agent({ keepAlive: false })
  const slotsOf = async () => {
    const clients = Array.from({ length: 20 }, (_, i) => `192.0.2.${i}`)
    return (await Promise.all(clients.map((client) => ask(path, fresh, { 'x-forwarded-for': client })))).map(
      ({ slot }) => slot
    )
  }
  const before = await slotsOf()
  assert.deepEqual(new Set(before), new Set([0, 1]))
  assert.deepEqual(await slotsOf(), before)
})

test('a stale socket file is replaced, and one in use or another file stops the start', async (t) => {
  const { path, service } = await startOnPath(t, {})
  const { REDIS_URL } = { REDIS_URL: (await startRedis(t)).url }
  process.kill(service.pid, 'SIGKILL')
  await service.exited
  assert.equal(existsSync(path), true)
  const next = await startService(t, { env: { REDIS_URL, APP: fixture('who'), HOST: path } })
  assert.equal((await ask(path, new Agent())).ip, '127.0.0.1')

  const second = await startService(t, { env: { REDIS_URL, HOST: path }, wait: false })
  assert.equal((await second.exited).code, 78)
  assert.match(second.stderr, /HOST \S+ is in use by another process or is not a socket/)
  assert.equal((await ask(path, new Agent())).ip, '127.0.0.1', 'the first one still has it')
  await next.stop()

  writeFileSync(path, 'precious')
  const third = await startService(t, { env: { REDIS_URL, HOST: path }, wait: false })
  assert.equal((await third.exited).code, 78)
  assert.equal(existsSync(path), true)
})

test('a Unix socket in a missing folder stops the start, and the error has the path', async (t) => {
  const { url } = await startRedis(t)
  const path = join(temporaryFolder(t), 'absent', 'http.sock')
  const service = await startService(t, { env: { REDIS_URL: url, HOST: path }, wait: false })
  assert.equal((await service.exited).code, 78)
  assert.match(service.stderr, /its folder must exist and be writable/)
})
