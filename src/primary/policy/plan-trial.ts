import { endWorker } from './end-worker.ts'
import { isOnTrial } from './reduce-trial.ts'
import { type Action, findWorker, isLive, liveIn, type State, serves, type Worker } from './types.ts'

/** Starts the control beside the canary. */
export function planControl(state: State): Action[] {
  if (!isOnTrial(state)) return []
  const { canary, control, wantsControl } = state.rollout.trial
  const slot = findWorker(state, canary)?.slot
  if (!wantsControl || control !== undefined || slot === undefined) return []
  const cause = 'to compare the new release with'
  return [{ type: 'fork', slot, generation: state.generation, cause, control: true }]
}

/** @returns when the trial ends undecided; infinity if there is none, or an operator must end it */
export function trialDeadline(state: State): number {
  const trial = state.rollout?.trial
  return trial?.startedAt === undefined || trial.held ? Number.POSITIVE_INFINITY : trial.startedAt + trial.maxMs
}

export const isTrialOver = (state: State, now: number) => now >= trialDeadline(state)

/** The state without canary and control: during a trial, all other workers are looked after as if there were no rollout. */
export function withoutTrial(state: State): State {
  if (!isOnTrial(state)) return state
  const { canary, control } = state.rollout.trial
  const workers = state.workers.filter(({ id }) => id !== canary && id !== control)
  return { ...state, workers, rollout: undefined }
}

/**
 * Ends the control after the trial. Where no other old worker serves the slot on, it stays in that place.
 * @param ends what is planned already
 */
export function planControlEnd(state: State, ends: readonly Action[]): Action[] {
  const stays = (id: number) => !ends.some((action) => 'id' in action && action.id === id)
  const isOld = ({ generation }: Worker) => generation !== state.rollout?.generation
  const isReplaceable = (slot: number, control: number) =>
    liveIn(state, slot).some((other) => other.id !== control && isOld(other) && serves(other) && stays(other.id))
  return state.workers
    .filter((worker) => worker.control && isLive(worker) && isReplaceable(worker.slot, worker.id))
    .flatMap((worker) => endWorker(worker, 'the trial has ended'))
}
