import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from '../helpers/admin.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { until } from '../helpers/until.ts'

const WORKERS = 3
const kills = sizeOf('KILLS', 10)
/** In percent of the load of unnoticed-releases. */
const size = sizeOf('CLIENTS', 30)
/** Descriptors that a process opens for a while, such as files that it reads. */
const SOME = 10

const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

async function readyWorkers(service: Service): Promise<number> {
  const { result } = (await command(service, 'status')).body
  return (result.workers as { status: string }[]).filter(({ status }) => status === 'ready').length
}

/** Kills a random worker. @returns its process id */
function killOne(service: Service): number {
  const workers = [...service.workers().keys()]
  const victim = workers[Math.floor(Math.random() * workers.length)]!
  process.kill(victim, 'SIGKILL')
  return victim
}

test(`${kills} workers are killed, half of them in reloads: only their own connections end, nothing hangs or leaks`, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    env: { REDIS_URL: url, APP: fixture('lasting'), LOG_LEVEL: 'info', REQUEST_TIMEOUT: '600000', CANARY_TIME: '100' },
    workers: WORKERS
  })
  const idle = descriptorsOf(service.pid)
  const count = (full: number) => Math.ceil((full * size) / 100)
  const mix = { busySockets: count(500), quietSockets: count(500), streams: count(500), transfers: count(20) }
  const clients = await LastingClients.start(t, service.port, mix, { transferSeconds: 5 })
  const killed = new Set<number>()
  for (let i = 0; i < kills; i++) {
    const from = service.lines.length
    const inReload = i % 2 === 1
    if (inReload) {
      service.child.kill('SIGHUP')
      await sleep(Math.random() * 2000) // any moment of a reload
    }
    killed.add(killOne(service))
    if (inReload) await service.line(({ msg }) => /^rollout (done|failed)$/.test(msg), from)
    await until(async () => (await readyWorkers(service)) === WORKERS, 'the successor')
  }
  await clients.stop()
  t.diagnostic(`${clients.messages} messages, ${clients.events} events; ${JSON.stringify([...clients.noticed])}`)
  const unexpected = [...clients.noticed.keys()].filter(
    (what) => !/^(socket: closed with 1006|stream: closed|upload|download)/.test(what)
  )
  assert.deepEqual(unexpected, [])
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, one) => total + one, 0)
  const others = [...clients.closedWith].filter(([pid]) => !killed.has(pid))
  // A connection may have moved to the killed worker, which had not answered yet.
  assert.ok(sum(others.map(([, closed]) => closed)) <= sum(clients.closedWith.values()) / 2, JSON.stringify(others))
  await until(() => descriptorsOf(service.pid) <= idle + SOME, 'the descriptors of the primary')
  for (const pid of service.workers().keys()) {
    await until(() => descriptorsOf(pid) <= idle + 3 * SOME, `the descriptors of worker ${pid}`)
  }
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})
