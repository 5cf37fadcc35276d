import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Case, type Job, Load } from './load/load.ts'
import { cpuBetween, cpuTimes } from './measure.ts'
import type { RunSettings, Sample } from './report.ts'
import type { Server } from './servers.ts'

export function warnIfBusy(): void {
  const [lastMinute = 0] = loadavg()
  if (lastMinute > 0.5) console.error(`The load average is ${lastMinute.toFixed(1)} already: expect wide spreads.`)
}

/**
 * Every server once in each round, after a second of each that does not count.
 * @param between what is done at the end of each round, with all servers idle
 */
export async function measureAll<Name extends string>(
  servers: Server<Name>[],
  rows: Case[],
  settings: RunSettings,
  between: () => Promise<void> = async () => {}
): Promise<Sample<Name>[]> {
  const load = new Load()
  const samples: Sample<Name>[] = []
  const measured = rows.flatMap((row) =>
    servers.filter((server) => server.rows.includes(row)).map((server) => ({ row, server }))
  )
  try {
    for (const { row, server } of measured) await load.run(jobFor(server, row, settings, 1), () => undefined)
    for (let round = 1; round <= settings.rounds; round++) {
      for (const { row, server } of measured) samples.push(await measure(load, server, row, round, settings))
      await between()
    }
  } finally {
    load.stop()
  }
  return samples
}

/** One window of load on one server: what its clients saw, and what its processes spent. */
export async function measure<Name extends string>(
  load: Load,
  server: Server<Name>,
  row: Case,
  round: number,
  settings: RunSettings
): Promise<Sample<Name>> {
  // what the one before left to be closed and collected belongs to nobody's window
  await sleep(200)
  const job = jobFor(server, row, settings, settings.seconds)
  const { result, before, after } = await load.run(job, () => cpuTimes(server.pids()))
  const { micros, gone } = cpuBetween(before, after)
  const failures = gone > 0 ? { ...result.failures, 'server process gone': gone } : result.failures
  const perSecond = result.requests / result.seconds
  const sample: Sample<Name> = {
    ...result,
    failures,
    server: server.name,
    row,
    round,
    perSecond,
    cpu: micros / result.requests
  }
  console.error(`round ${round}/${settings.rounds} ${row} ${server.name}: ${Math.round(perSecond)} req/s`)
  return sample
}

function jobFor(server: Server, row: Case, settings: RunSettings, seconds: number): Job {
  return { row, url: server.url, connections: settings.connections, seconds, shared: server.shared }
}
