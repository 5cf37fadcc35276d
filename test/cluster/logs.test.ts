import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once as event } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { parseMetrics } from '../helpers/metrics.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, EXAMPLE, type Line, muster, startService, temporaryFolder } from '../helpers/service.ts'
import { parseStrictly } from '../helpers/strict-json.ts'
import { timed, unhinderedMs } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const SOAK_MS = 2500
const TRACE = '0af7651916cd43dd8448eb211c80319c'

test('each request under load has one log line, from the worker that answered, without secrets', async (t) => {
  const { url } = await startRedis(t)
  const secrets = ['SESSION_SECRET', 'ADMIN_TOKEN', 'METRICS_TOKEN'].map((name) => [
    name,
    `${name}-hush-`.padEnd(40, 'x')
  ])
  // As the instrumentation of traces comes in: before everything else, in each process.
  const NODE_OPTIONS = `--import=data:text/javascript,process.stderr.write(%22preloaded%20%22+process.pid+%22%5Cn%22)`
  const env = { REDIS_URL: url, NODE_OPTIONS, ...Object.fromEntries(secrets) }
  const service = await startService(t, { env })
  const processes = [service.pid, ...service.workers().keys()].map((pid) => `preloaded ${pid}`)
  const preloaded = () => `${service.stderr}${service.workerStderr}`.match(/preloaded \d+/g) ?? []
  // Standard error is another pipe than the log.
  await until(() => preloaded().length >= processes.length, 'a word from every process')
  assert.deepEqual(preloaded().sort(), processes.sort())
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const hidden = new Set(secrets.map(([, secret]) => secret!))
  const answered = new Map<string, { slot: number; pid: number; generation: number }>()
  const end = performance.now() + SOAK_MS
  let reloaded = false
  /** One that comes back with its cookie, and signs in and out. */
  const visit = async (visitor: number) => {
    const connection = await Connection.open(service.port)
    let cookie = ''
    for (let i = 0; !reloaded || performance.now() < end; i++) {
      const id = `${visitor}.${i}`
      const headers = { 'x-request-id': id, traceparent: `00-${TRACE}-b7ad6b7169203331-01`, cookie }
      const [method, path] =
        i % 10 === 5 ? ['DELETE', '/session'] : i % 10 === 7 ? ['GET', '/nope?sid=hush'] : ['GET', '/']
      const answer = await connection.request(method, path, headers)
      assert.equal(answer.headers['x-request-id'], id)
      if (path === '/')
        answered.set(
          id,
          (JSON.parse(answer.body) as { worker: { slot: number; pid: number; generation: number } }).worker
        )
      const [, value] = /^sid=([^;]*)/.exec(answer.headers['set-cookie'] ?? '') ?? []
      if (value) {
        hidden.add(value.split('.')[0]!)
        cookie = `sid=${value}`
      }
      if (i % 50 === 3)
        await once(service.port, 'GET', '/admin/status', bearer(i % 100 === 3 ? env.ADMIN_TOKEN : 'x'.repeat(40)))
      if (i % 50 === 4) await once(service.port, 'GET', '/metrics', bearer(env.METRICS_TOKEN))
      await sleep(2)
    }
    connection.close()
  }
  const visitors = Array.from({ length: 6 }, (_, visitor) => visit(visitor))
  await service.reload()
  reloaded = true
  await Promise.all(visitors)
  assert.equal((await service.stop()).code, 0)

  const lines = new Map<string, Line[]>()
  for (const line of service.lines.filter(({ msg }) => msg === 'request')) {
    const id = String(line.reqId)
    lines.set(id, [...(lines.get(id) ?? []), line])
  }
  assert.ok(answered.size > 200 && hidden.size > 20, `${answered.size} answers, ${hidden.size} secrets`)
  for (const [id, { slot, pid, generation }] of answered) {
    const found = (lines.get(id) ?? []).map((line) => [line.worker, line.pid, line.generation, line.trace_id])
    assert.deepEqual(found, [[slot, pid, generation, TRACE]], id)
  }
  assert.equal(new Set([...answered.values()].map(({ generation }) => generation)).size, 2)
  const log = service.lines.map((line) => JSON.stringify(line)).join('\n')
  for (const secret of hidden) assert.ok(!log.includes(secret), `${secret} is in the log`)
  assert.doesNotMatch(log, /hush/)
})

test('no log line of a full lifecycle repeats a key', async (t) => {
  assert.throws(() => parseStrictly('{"pid":1,"err":{"pid":2},"pid":1}'), /the key "pid" is there twice/)
  // The helper parses every line so.
  const env = { APP: fixture('block-loop'), HEARTBEAT_TIMEOUT: '2000', CANARY_TIME: '0', LOG_LEVEL: 'debug' }
  const service = await startService(t, { env: { ...env, ADMIN_TOKEN: 'x'.repeat(40) } })
  const said = (msg: string, from = 0) => service.line((line) => line.msg.startsWith(msg), from)
  assert.equal((await once(service.port, 'GET', '/nope')).status, 404)
  assert.equal((await once(service.port, 'GET', '/admin/status', { authorization: 'Bearer wrong' })).status, 401)
  await muster(service, 'settings', 'set', 'banner', 'hello')
  await muster(service, 'scale', '0')
  const killed = service.lines.length
  process.kill([...service.workers().keys()][0]!, 'SIGKILL')
  await service.ready(1, killed)
  const before = service.lines.length
  const { redisPid } = await said('embedded Redis ready')
  process.kill(Number(redisPid), 'SIGKILL')
  await said('embedded Redis restarted')
  await said('Redis is up', before)
  const hanging = once(service.port, 'GET', '/block').catch(() => {})
  await said('worker hung')
  await hanging
  await service.reload()
  assert.equal((await service.stop()).code, 0)
  for (const msg of ['muster started', 'embedded Redis ready', 'request', 'a setting changed', 'command answered'])
    await said(msg)
})

timed('unread standard output never blocks the service', async (t) => {
  const { url } = await startRedis(t)
  const runDir = temporaryFolder(t)
  const pipe = join(runDir, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reading = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(pipe, constants.O_WRONLY)
  const port = await freePort()
  const env = { ...cleanEnvironment(), PORT: String(port), WORKERS: '2', RUN_DIR: runDir, REDIS_URL: url }
  const child = spawn(process.execPath, [CLI, 'start', EXAMPLE], { env, stdio: ['ignore', writing, 'inherit'] })
  closeSync(writing)
  t.after(() => child.kill('SIGQUIT'))
  await until(async () => (await once(port, 'GET', '/readyz').catch(() => undefined))?.status === 200, 'it is ready')

  const dropped = async () => {
    const page = parseMetrics((await once(port, 'GET', '/metrics')).body)
    return [...page].filter(([name]) => name.startsWith('log_lines_dropped_total')).map(([, value]) => value)
  }
  /** @returns how long the slowest took, in ms */
  const burst = async (requests: number) => {
    let slowest = 0
    const client = async () => {
      const connection = await Connection.open(port)
      for (let i = 0; i < requests / 16; i++) {
        const started = unhinderedMs()
        assert.equal((await connection.request('GET', `/${'x'.repeat(800)}`)).status, 404)
        slowest = Math.max(slowest, unhinderedMs() - started)
      }
      connection.close()
    }
    await Promise.all(Array.from({ length: 16 }, client))
    return slowest
  }
  let slowest = 0
  await until(async () => {
    slowest = Math.max(slowest, await burst(1600))
    return (await dropped()).filter((lines) => lines > 0).length === 2
  }, 'lines of both workers are dropped')
  assert.ok(slowest < 2000, `an answer took ${slowest} ms`)

  const lines: Line[] = []
  const source = new Socket({ fd: reading, writable: false })
  createInterface({ input: source }).on('line', (text) => lines.push(JSON.parse(text) as Line))
  const said = () => lines.filter(({ msg }) => msg.startsWith('log lines dropped')).map((line) => Number(line.lines))
  await until(() => said().length === 2, 'both workers have said how many')
  assert.deepEqual(said().sort(), (await dropped()).filter((count) => count > 0).sort())
  const told = lines.filter(({ url }) => String(url).startsWith('/x')).length + said().reduce((a, b) => a + b)
  assert.equal(told % 1600, 0, `${told} requests are told of, or said to have been dropped`)

  source.pause()
  await burst(1600)
  const exited = event(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
})
