import type { Trial } from './trial-types.ts'
import type { EventOf, RolloutState, State } from './types.ts'
import { liveIn, serves } from './types.ts'

/** A state whose canary is being judged. */
export type OnTrial = State & { rollout: RolloutState & { trial: Trial } }

export const isOnTrial = (state: State): state is OnTrial => state.rollout?.trial !== undefined

/** The first failure of a rollout is its cause. It ends the trial. */
export function failRollout(state: State, cause: string): State {
  if (!state.rollout) return state
  const { trial: _, ...rollout } = state.rollout
  return { ...state, rollout: { failure: cause, ...rollout } }
}

/** The only worker of the new release serves beside the old one, and there is traffic to judge it by. Without a control, it begins at once. */
export function beginTrial(state: State, event: EventOf<'trial-begins'>, now: number): State {
  const { rollout } = state
  const [canary, ...more] = state.workers.filter((worker) => worker.generation === rollout?.generation)
  if (!rollout || !canary || !serves(canary) || more.length > 0) return state
  if (rollout.failure !== undefined || rollout.trial || rollout.verdict) return state
  if (!liveIn(state, canary.slot).some((other) => other !== canary && serves(other))) return state
  const { type: _, ...options } = event
  const next = { ...state, rollout: { ...rollout, trial: { ...options, canary: canary.id } } }
  return event.wantsControl ? next : startTrial(next, now)
}

/** Canary and control begin to receive connections. */
export function startTrial(state: State, now: number): State {
  if (!isOnTrial(state) || state.rollout.trial.startedAt !== undefined) return state
  const { rollout } = state
  return { ...state, rollout: { ...rollout, trial: { ...rollout.trial, startedAt: now } } }
}

/** A trial that has begun cannot be continued with another control: the figures would not belong together. */
export function controlLost(state: State, cause: string, now: number): State {
  if (!isOnTrial(state)) return state
  const { rollout } = state
  const trial = { ...rollout.trial, wantsControl: false, control: undefined }
  const next = { ...state, rollout: { ...rollout, trial } }
  if (trial.startedAt === undefined) return startTrial(next, now)
  return endTrial(next, { outcome: 'undecided', cause: `the worker that it was compared with ended (${cause})` })
}

export function endTrial(state: State, { outcome, cause }: Omit<EventOf<'trial-ended'>, 'type'>): State {
  if (!isOnTrial(state)) return state
  const { trial, ...rollout } = state.rollout
  if (outcome === 'worse') return failRollout(state, cause)
  if (outcome === 'no worse' || trial.undecided === 'continue') {
    return { ...state, rollout: { ...rollout, verdict: 'passed' } }
  }
  if (trial.undecided === 'rollback') return failRollout(state, cause)
  return { ...state, rollout: { ...rollout, trial: { ...trial, held: true } } }
}

export function promote(state: State): State {
  if (!state.rollout || state.rollout.failure !== undefined) return state
  const { trial: _, ...rollout } = state.rollout
  return { ...state, rollout: { ...rollout, verdict: 'promoted' } }
}
