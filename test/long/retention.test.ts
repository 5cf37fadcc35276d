import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Connection, once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { Nuisance } from '../helpers/nuisance.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { SlowClients } from '../helpers/slow-clients.ts'
import { until } from '../helpers/until.ts'

const CONNECTIONS = 20
/** In a round, so that an object kept of each outweighs what comes and goes: some twenty objects. */
const RELOADS = 8
/** After so many more rounds, a count is no higher once. What leaks grows with each; what begins once, such as a series of metrics, only with some. */
const MORE_ROUNDS = 3
/** A service whose only worker was killed ten times ends. */
const MAX_ROUNDS = 9
const TIMES = {
  CANARY_TIME: '100',
  RESTART_BACKOFF: '1000',
  BOOT_TIMEOUT: '60000',
  KEEP_ALIVE_TIMEOUT: '60000',
  QUARANTINE_WINDOW: '1000'
}
/** Of slow clients. */
const SHORT = { HEADERS_TIMEOUT: '1000', REQUEST_TIMEOUT: '2000', SEND_TIMEOUT: '1000' }

async function startCounted(t: TestContext, env: Record<string, string>): Promise<Service> {
  const { url } = await startRedis(t)
  const NODE_OPTIONS = `--import=${fixture('census')}`
  return startService(t, { workers: 1, env: { REDIS_URL: url, NODE_OPTIONS, ...env } })
}

interface Census {
  objects: number
  processes: number
}

/** What a process has when one worker runs, the primary knows its counters, and nothing is about to end any more: the least of ten, or the same twice. */
async function census(service: Service, pid: number): Promise<Census> {
  await service.until(() => service.workers().size === 1, 'the exit of workers that were replaced')
  let least: Census = { objects: Number.POSITIVE_INFINITY, processes: Number.POSITIVE_INFINITY }
  for (let tries = 0; tries < 10; tries++) {
    await once(service.port, 'GET', '/metrics')
    const { objects, processes } = await count(service, pid)
    if (objects === least.objects && processes === least.processes) break
    least = { objects: Math.min(objects, least.objects), processes: Math.min(processes, least.processes) }
  }
  return least
}

async function count(service: Service, pid: number): Promise<Census> {
  const said = () => `${service.stderr}${service.workerStderr}`
  const told = () => [...said().matchAll(new RegExp(`^census ${pid} (\\d+) (\\d+)\\n`, 'gm'))]
  const before = told().length
  process.kill(pid, 'SIGALRM')
  await until(() => told().length > before, 'a census')
  const [, objects, processes] = told().at(-1)!
  return { objects: Number(objects), processes: Number(processes) }
}

async function keepsNothing(t: TestContext, service: Service, pid: number, round: () => Promise<void>) {
  const counts: Census[] = []
  const returns = (key: keyof Census) =>
    counts
      .slice(MORE_ROUNDS)
      .some((later, nth) => counts.slice(0, nth + 1).some((earlier) => later[key] <= earlier[key]))
  while (!returns('objects') || !returns('processes')) {
    assert.ok(counts.length < MAX_ROUNDS, `each round leaves something: ${JSON.stringify(counts)}`)
    await round()
    counts.push(await census(service, pid))
  }
  t.diagnostic(counts.map(({ objects, processes }) => `${objects} objects, ${processes} processes`).join('; '))
}

test('the primary keeps no object of exited workers and closed connections', async (t) => {
  const service = await startCounted(t, { APP: fixture('plain'), ...TIMES })
  // Connections open, close and are transferred. Workers drain and the last one is killed.
  const round = async () => {
    const kept = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(service.port)))
    await Promise.all(kept.map((connection) => connection.request('GET', '/livez')))
    for (let reloads = 0; reloads < RELOADS; reloads++) await service.reload()
    await Promise.all(kept.map((connection) => connection.request('GET', '/livez')))
    const from = service.lines.length
    const fresh = Array.from({ length: CONNECTIONS }, () => once(service.port, 'GET', '/livez').catch(() => {}))
    for (const pid of service.workers().keys()) process.kill(pid, 'SIGKILL')
    await Promise.all([...fresh, service.ready(1, from)])
    for (const connection of kept) connection.close()
  }
  await keepsNothing(t, service, service.pid, round)
})

test('a worker keeps no object of clients that left, good, bad or slow', async (t) => {
  const service = await startCounted(t, { APP: fixture('much'), ...SHORT })
  const [pid] = [...service.workers().keys()] as [number]
  const round = async () => {
    const slow = new SlowClients(t, service.port)
    for (const kind of ['head', 'body', 'read'] as const) await slow.add(kind, 3)
    const load = new Load(
      t,
      service.port,
      { tight: 1, fresh: 2, pipelined: 1, streams: 2 },
      { addresses: 50, pauseMs: 5 }
    )
    const nuisance = new Nuisance(t, service.port, 5)
    await load.until(300)
    await until(() => nuisance.sent >= 60 && slow.held === 0, 'the end of bad clients')
    await Promise.all([load.stop(), nuisance.stop()])
  }
  await keepsNothing(t, service, pid, round)
})
