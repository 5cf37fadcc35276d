import { setTimeout as sleep } from 'node:timers/promises'
import { type Contestant, startContestant } from './contestants.ts'
import { Load, type RateJob, type Row, rows, rowTitles } from './load/load.ts'
import { cpuBetween, cpuTimes } from './processes.ts'
import type { Context, Sample } from './scenario.ts'
import type { Running } from './servers.ts'

/** A running contestant. */
export interface Measured extends Contestant {
  readonly running: Running
}

/**
 * Starts all contestants, measures each once in each round after one second of load that does not count, and stops them.
 * @param extra further properties of the jobs
 * @param between is awaited at the end of each round, while all servers are idle
 */
export async function measureRounds(
  { settings, folder, redis }: Context,
  contestants: Readonly<Record<string, Contestant>>,
  wanted: readonly Row[] = rows,
  extra: Partial<RateJob> = {},
  between: (servers: Measured[], load: Load) => Promise<void> = async () => {}
): Promise<Sample[]> {
  const load = new Load()
  const samples: Sample[] = []
  const servers: Measured[] = []
  const jobOf = ({ running, shared }: Measured, row: Row, seconds: number): RateJob => {
    return { row, url: running.url, connections: settings.connections, seconds, shared, ...extra }
  }
  const needsRedis = Object.values(contestants).some(({ shared }) => shared)
  const redisUrl = needsRedis ? (await redis()).url : undefined
  try {
    for (const [name, contestant] of Object.entries(contestants)) {
      const running = await startContestant(name, contestant, { workers: settings.workers, redisUrl, folder })
      servers.push({ ...contestant, running })
    }
    const pairs = wanted.flatMap((row) =>
      servers.filter((server) => server.rows?.includes(row) ?? true).map((server) => ({ row, server }))
    )
    for (const { row, server } of pairs) await load.run(jobOf(server, row, 1), () => undefined)
    for (let round = 1; round <= settings.rounds; round++) {
      // Every other round runs backwards, because a window may leave something to the next one: connections that linger, a warm CPU.
      for (const { row, server } of round % 2 === 1 ? pairs : pairs.toReversed()) {
        const { name } = server.running
        const sample = await measureWindow(load, server.running, jobOf(server, row, settings.seconds))
        samples.push({ table: rowTitles[row], subject: name, ...sample })
        console.error(`round ${round}/${settings.rounds} ${row} ${name}: ${Math.round(sample.values.perSecond)} req/s`)
      }
      await between(servers, load)
    }
  } finally {
    load.stop()
    await Promise.all(servers.map(({ running }) => running.stop()))
  }
  return samples
}

/** One window of load on one server: what its clients saw and the CPU time of its processes. */
export async function measureWindow(load: Load, running: Running, job: RateJob) {
  // Connections that the previous window left are closed and collected outside of this one.
  await sleep(200)
  const { result, before, after } = await load.run(job, () => cpuTimes(running.pids()))
  const { micros, gone } = cpuBetween(before, after)
  const { requests, seconds, p50Ms, p99Ms, p999Ms = Number.NaN, failures } = result
  return {
    values: { perSecond: requests / seconds, p50Ms, p99Ms, p999Ms, cpu: micros / requests },
    failures: gone > 0 ? { ...failures, 'server process gone': gone } : failures
  }
}
