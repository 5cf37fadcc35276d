import type { ReloadOutcome } from '../../admin/command-context.ts'
import type { ReloadSeen } from '../observations.ts'
import { readyWorkers } from '../service-watch.ts'
import type { Fault, FaultContext } from './fault.ts'
import { killProcess } from './held-process.ts'

/** A worker starts, serves for a second, and the old one drains. */
const PER_WORKER_MS = 3000

const needsMs = ({ watch }: FaultContext) => 2000 + watch.status.desired * PER_WORKER_MS

const reload: Fault = {
  name: 'reload',
  needsMs,
  run: async (context) => ({ reload: await reloadNow(context) })
}

/** The new worker is killed as soon as it starts, as if its release could not boot. No file of the app is touched. */
const badRelease: Fault = {
  name: 'bad-release',
  needsMs,
  cannot: ({ settings }) =>
    settings.hasRolloutLease ? 'with ROLLOUT_LEASE, the other hosts would refuse the release afterwards' : undefined,
  async run(context) {
    const { watch } = context
    const seen = watch.journal.length
    const generation = watch.status.generation
    const isNew = (entry: { event: string; generation?: number }) =>
      entry.event === 'starts' && (entry.generation ?? 0) > generation
    const killNext = watch
      .until(() => watch.journal.slice(seen).find(isNew), needsMs(context))
      .then((entry) => {
        if (entry?.pid !== undefined) killProcess(entry.pid)
        return entry?.pid
      })
    const [outcome, pid] = await Promise.all([reloadNow(context), killNext])
    const served = watch.journal.slice(seen).some((entry) => entry.event === 'ready' && entry.pid === pid)
    return served ? { skipped: 'the new worker served before the drill could end it' } : { reload: outcome }
  }
}

/** Reloads without a verdict, which would wait for more traffic than a drill has. */
async function reloadNow({ target, watch, settings }: FaultContext): Promise<ReloadSeen> {
  const before = generations()
  const answer = await target.ask('reload', { verdict: false })
  await watch.isSettled(settings.bootMs)
  const result = 'result' in answer ? (answer.result as ReloadOutcome) : undefined
  const why = result ? result.why : (answer as { message: string }).message
  return { outcome: result?.outcome ?? 'refused', ...(why !== undefined && { why }), before, after: generations() }

  function generations(): number[] {
    return readyWorkers(watch.status).map(({ generation }) => generation)
  }
}

export const RELOAD_FAULTS = [badRelease, reload]
