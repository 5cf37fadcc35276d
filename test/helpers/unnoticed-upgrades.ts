import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { cleanup } from './cleanup.ts'
import { areExact, Hits } from './hits.ts'
import { LastingClients, type LastingMix } from './lasting-clients.ts'
import { fixture, Load } from './load.ts'
import { Scraper } from './scraper.ts'
import { isAlive, muster, processesWith, startService } from './service.ts'
import { cpuWaitMs } from './timed.ts'
import { until } from './until.ts'
import { commandOf, primaryOf, redisOf, stopUpgraded } from './upgrades.ts'

const WORKERS = 4
/** The primary, its workers, the orphan reaper and Redis. */
const PROCESSES = WORKERS + 3

interface Options {
  mix: LastingMix
  /** Keep-alive connections. Half of them are mostly idle. */
  connections: number
  upgrades: number
  /** How long an upload or download takes. */
  transferSeconds: number
  /** What an upgrade may take, without the time in which a process of this machine had to wait for a CPU. */
  maxUpgradeMs: number
  /** Programs of Node.js, which the upgrades use in turn. */
  nodes?: readonly string[]
}

/**
 * Replaces the whole service again and again while clients stay connected: WebSockets, event streams, uploads, downloads and keep-alive
 * connections, hits and scrapes of the metrics. The next upgrade does not wait for old primaries whose workers still have an upload or
 * a download. Expects that no client notices anything.
 */
export async function upgradeUnnoticed(t: TestContext, options: Options): Promise<void> {
  const { mix, connections, upgrades, transferSeconds, maxUpgradeMs, nodes = [process.execPath] } = options
  const service = await startService(t, {
    env: {
      APP: fixture('lasting-with-hits'),
      // As the service ships, and not as most tests have it.
      CANARY_TIME: '30000',
      BOOT_TIMEOUT: '120000',
      REQUEST_TIMEOUT: '600000',
      LINGER_MAX_MEMORY: '8192'
    },
    workers: WORKERS
  })
  const { port } = service
  const redis = redisOf(service)
  const clients = await LastingClients.start(t, port, mix, { transferSeconds })
  const load = new Load(t, port, { tight: connections / 2, idle: connections / 2 }, { pauseMs: 200 })
  const hits = new Hits(port, { clients: 8, pauseMs: 20 })
  cleanup(t, () => hits.stop())
  const scraper = await Scraper.start(t, port)
  const durations: number[] = []
  const seconds: string[] = []
  for (let i = 0; i < upgrades; i++) {
    const node = nodes[i % nodes.length]!
    const [begun, waited] = [performance.now(), cpuWaitMs()]
    const { code, stdout } = await muster(service, 'upgrade', '--node', node, '--json')
    const elapsed = performance.now() - begun
    seconds.push((elapsed / 1000).toFixed(1))
    durations.push(Math.round(elapsed - (cpuWaitMs() - waited)))
    assert.equal(code, 0, `${stdout}\n${service.tail()}`)
    assert.equal(JSON.parse(stdout).result.pid, primaryOf(service))
  }
  await clients.receiveMore()
  await hits.more(100)
  const series = await scraper.next()
  await Promise.all([clients.stop(), load.stop(), hits.stop(), scraper.stop()])
  t.diagnostic(
    `${clients.messages} messages by ${clients.pids.size} workers, ${clients.events} events, ${clients.transfers} uploads and ` +
      `downloads, ${load.answered} answers, ${hits.numbers.length} hits, ${scraper.scrapes} scrapes; ` +
      `upgrades took ${seconds.join(', ')} s, without waits for the CPU ${durations.join(', ')} ms`
  )
  const said = service.lines
    .filter(({ level, msg }) => Number(level) >= 40 || msg === 'drained')
    .map((line) => JSON.stringify(line))
  assert.deepEqual([...clients.noticed], [], said.slice(0, 50).join('\n'))
  assert.deepEqual([...load.failures], [], said.slice(0, 50).join('\n'))
  assert.equal(load.reopened, 0, 'a keep-alive connection was closed')
  assert.deepEqual([...hits.errors], [])
  assert.ok(areExact(hits.numbers), 'each hit is counted once')
  assert.equal(series.get('cluster_generation{worker="primary"}'), upgrades + 1)
  assert.equal(redisOf(service), redis, 'Redis is the same process')
  assert.ok(clients.pids.size > upgrades, `${clients.pids.size} workers answered messages`)
  assert.ok(Math.max(...durations) <= maxUpgradeMs, `an upgrade took ${Math.max(...durations)} ms`)
  const left = () => processesWith(service.runDir).filter((pid) => isAlive(pid))
  await until(() => left().length === PROCESSES, 'the end of all old primaries', 60_000).catch(() => {
    assert.fail(
      left()
        .map((pid) => `${pid} ${commandOf(pid)}`)
        .join('\n')
    )
  })
  await stopUpgraded(service)
}
