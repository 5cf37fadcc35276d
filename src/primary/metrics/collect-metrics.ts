import type { Collection, Metrics } from '../../ipc/messages.ts'
import { type Family, parseFamilies } from '../../ipc/series.ts'
import type { WorkerProcess } from '../workers/worker-process.ts'
import type { RetainedCounters } from './retained-counters.ts'

const DEADLINE_MS = 1000

export interface CollectorOptions {
  /** Workers to be asked, the newest first. */
  live: () => WorkerProcess[]
  counters: RetainedCounters
  /** The primary's own series; `answered` are the ids of the workers that did. */
  primary: (answered: ReadonlySet<number>) => Family[]
}

/** Metrics of every process that answers in time. One collection at a time: who asks meanwhile shares it. */
export function createMetricsCollector({ live, counters, primary }: CollectorOptions): () => Promise<Collection> {
  let running: Promise<Collection> | undefined
  const ask = async ({ id, slot, pid, channel }: WorkerProcess) => {
    try {
      const { counts: said, others } = listed(await channel.request('metrics', {}, DEADLINE_MS))
      counters.update(id, said)
      return { id, others }
    } catch (error) {
      return { id, missing: [{ slot, pid, why: (error as Error).message }] }
    }
  }
  const collect = async (): Promise<Collection> => {
    const answers = await Promise.all(live().map(ask))
    // All counts are read at one moment: a worker that has ended meanwhile is either among the live or among the gone.
    const others = new Map(
      answers.flatMap((answer) => ('others' in answer ? [[answer.id, answer.others] as const] : []))
    )
    const workers = live().map(({ id, slot }) => ({ slot, counts: counters.of(id), others: others.get(id) ?? [] }))
    return {
      workers: [...workers, ...counters.ofExited().map((gone) => ({ ...gone, others: [] }))],
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

/** A worker runs anybody's code. */
function listed({ counts, others }: Partial<Metrics>): Metrics {
  return { counts: parseFamilies(counts), others: parseFamilies(others) }
}
