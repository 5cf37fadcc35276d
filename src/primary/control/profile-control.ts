import { dirname } from 'node:path'
import { ackOf } from '../../admin/command.ts'
import type { ProfileFile } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { DeliveryReport } from '../../ipc/messages.ts'
import type { Profiler, ProfileTarget } from '../health/profiler.ts'
import { serves, type Worker } from '../policy/types.ts'
import { packageFolderOf } from '../rollout/package-folder.ts'
import type { Releases } from '../rollout/release.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import type { WorkerQueries } from '../workers/worker-queries.ts'

export interface ProfileControlOptions {
  supervisor: Supervisor
  workers: WorkerQueries
  profiler: Profiler
  releases: Releases
}

/** Takes CPU profiles of one worker, of all, or of the two that a trial compares. */
export class ProfileControl {
  readonly #options: ProfileControlOptions

  constructor(options: ProfileControlOptions) {
    this.#options = options
  }

  /** @throws CommandError 404 for a slot without a worker, 409 without a trial or while another file is written */
  async profile(
    which: number | 'all' | 'trial',
    ms: number
  ): Promise<{ files: ProfileFile[]; missing: DeliveryReport['missing'] }> {
    const targets = this.#targets(which)
    const results = await this.#options.profiler.profile(targets, ms)
    const files: ProfileFile[] = []
    const missing: DeliveryReport['missing'] = []
    for (const [i, result] of results.entries()) {
      const { peer, origin } = targets[i]!
      const { generation, role } = origin
      if (result.status === 'fulfilled') files.push({ ...result.value, generation, ...(role && { role }) })
      else if (targets.length === 1) throw result.reason
      else missing.push({ ...ackOf(peer), why: (result.reason as Error).message })
    }
    return { files, missing }
  }

  #targets(which: number | 'all' | 'trial'): ProfileTarget[] {
    const { supervisor, workers } = this.#options
    const { state } = supervisor
    if (typeof which === 'number') {
      const { id } = workers.inSlot(which)
      return this.#targetsOf(state.workers.filter((worker) => worker.id === id))
    }
    const serving = this.#targetsOf(state.workers.filter(serves))
    if (which === 'all') {
      if (serving.length === 0) throw new CommandError('no worker serves: `muster why` shows what happened', 503)
      return serving
    }
    const both = serving.filter(({ origin }) => origin.role)
    if (both.length < 2) {
      const remedy = '`muster reload --for 5m` begins one if the release before can still be started'
      throw new CommandError(`trial: no canary is compared with a control now; ${remedy}`, 409)
    }
    return both
  }

  #targetsOf(workers: readonly Worker[]): ProfileTarget[] {
    const { supervisor, releases } = this.#options
    const { canary, control } = supervisor.state.rollout?.trial ?? {}
    return workers.flatMap(({ id, slot, pid, generation }) => {
      const peer = supervisor.pool.get(id)
      if (!peer) return []
      const { id: release, app, exec } = releases.of(generation)
      const role = id === canary ? 'canary' : id === control && 'control'
      const root = packageFolderOf(dirname(app ?? exec))
      return [{ peer, origin: { slot, pid, generation, release, root, ...(role && { role }) } }]
    })
  }
}
