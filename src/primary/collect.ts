import type { Collection, MetricJson } from '../ipc/messages.ts'
import type { WorkerProcess } from './worker-process.ts'

const DEADLINE_MS = 1000

/** Metrics of every process that answers in time. One collection at a time: who asks meanwhile shares it. */
export function createCollector(
  live: () => WorkerProcess[],
  primary: () => Collection['primary']
): () => Promise<Collection> {
  let running: Promise<Collection> | undefined
  const collect = async (): Promise<Collection> => {
    const answers = await Promise.all(
      live().map(({ slot, pid, channel }) =>
        channel
          .ask('metrics', {}, DEADLINE_MS)
          .then(listed)
          .then(
            (metrics) => ({ slot, metrics }),
            (error: Error) => ({ slot, pid, why: error.message })
          )
      )
    )
    return {
      workers: answers.filter((answer) => 'metrics' in answer),
      missing: answers.filter((answer) => 'why' in answer),
      primary: primary()
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
function listed(metrics: MetricJson[]): MetricJson[] {
  if (!Array.isArray(metrics)) throw new Error('its answer is no list of metrics')
  return metrics
}
