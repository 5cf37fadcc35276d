import type { Collection, Metrics } from '../../ipc/messages.ts'
import { type Family, parseFamilies } from '../../ipc/series.ts'
import type { WorkerProcess } from '../workers/worker-process.ts'
import type { RetainedCounters } from './retained-counters.ts'

/** How long a worker may take to answer. */
const TIMEOUT_MS = 1000

export interface CollectorOptions {
  /** The workers to ask, the newest first. */
  live: () => WorkerProcess[]
  counters: RetainedCounters
  /** Returns the primary's own series. `answered` holds the ids of the workers that answered in time. */
  primary: (answered: ReadonlySet<number>) => Family[]
}

/** Creates a function that collects the metrics of every process. Concurrent calls share one collection. */
export function createMetricsCollector({ live, counters, primary }: CollectorOptions): () => Promise<Collection> {
  let running: Promise<Collection> | undefined
  const ask = async ({ id, slot, pid, channel }: WorkerProcess) => {
    try {
      const answer = parseMetrics(await channel.request('metrics', {}, TIMEOUT_MS))
      counters.update(id, answer.counters)
      return { id, others: answer.others }
    } catch (error) {
      return { id, missing: [{ slot, pid, why: (error as Error).message }] }
    }
  }
  const collect = async (): Promise<Collection> => {
    const answers = await Promise.all(live().map(ask))
    // Counters are read at one moment, so a worker that has exited meanwhile is either among the live or among the exited.
    const others = new Map(
      answers.flatMap((answer) => ('others' in answer ? [[answer.id, answer.others] as const] : []))
    )
    const workers = live().map(({ id, slot }) => ({ slot, counters: counters.of(id), others: others.get(id) ?? [] }))
    return {
      workers: [...workers, ...counters.ofExited().map((exited) => ({ ...exited, others: [] }))],
      missing: answers.flatMap((answer) => ('missing' in answer ? answer.missing : [])),
      primary: primary(new Set(others.keys()))
    }
  }
  return () => {
    running ??= collect().finally(() => {
      running = undefined
    })
    return running
  }
}

/** Checks an answer, since a worker runs the application's code. @throws TypeError */
function parseMetrics({ counters, others }: Partial<Metrics>): Metrics {
  return { counters: parseFamilies(counters), others: parseFamilies(others) }
}
