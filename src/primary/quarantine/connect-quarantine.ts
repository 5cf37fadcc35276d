import type { InternalErrors } from '../internal-errors.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import type { QuarantineKeeper } from './quarantine-keeper.ts'

/** Tells the keeper what happens to workers, and workers what the keeper orders. */
export function connectQuarantine(keeper: QuarantineKeeper, supervisor: Supervisor, errors: InternalErrors): void {
  keeper.on('change', (orders) => supervisor.pool.notifyAll({ type: 'quarantine', orders }))
  supervisor.pool.on('exited', (worker) => {
    const { rollout, share } = supervisor.state
    const inRollout = share?.isCandidate === true || rollout?.generation === worker.generation
    errors.survive('listener', () => keeper.workerExited(worker, inRollout))
  })
  supervisor.on('rollout', ({ outcome }) => {
    if (outcome === 'done') keeper.releaseServes()
  })
}
