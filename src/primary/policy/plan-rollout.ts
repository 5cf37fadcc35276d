import { endWorker } from './end-worker.ts'
import { planControlEnd } from './plan-trial.ts'
import type { Limits } from './policy-limits.ts'
import {
  type Action,
  isLive,
  isWaitedFor,
  liveIn,
  type RecycleReason,
  recycleReasonOf,
  type State,
  serves,
  slotsOf,
  type Worker
} from './types.ts'

/** Why a worker is to be replaced. A recycled one counts as a restart. */
interface Replacement {
  cause: string
  recycled?: RecycleReason
}

const RELOAD = 'reload'
const ROLLBACK = 'rollback of a failed reload'

/**
 * Plans the replacement of workers. A rollout, its rollback and recycling are the same: a slot has a worker that is outdated.
 * Slots are replaced one after another. The new worker serves before the old one drains, and the old one has exited or
 * lingers before the next slot begins.
 */
export function planReplacements(state: State, limits: Limits, now: number): Action[] {
  const ends: Action[] = state.workers
    .filter((worker) => !worker.bootFailed && isFailedCandidate(state, worker))
    .flatMap((worker) => endWorker(worker, 'its rollout failed'))
  const candidates: { slot: number; cause: string; waits: boolean }[] = []
  for (const slot of slotsOf(state)) {
    const live = liveIn(state, slot)
    const outdated = live.filter((worker) => replacementOf(state, worker, limits, now) !== undefined)
    const current = live.filter((worker) => !outdated.includes(worker))
    for (const worker of supersededBy(state, current, outdated, limits, now)) {
      const { cause, recycled } = replacementOf(state, worker, limits, now)!
      ends.push(...endWorker(worker, cause).map((action) => (recycled ? { ...action, recycled } : action)))
    }
    const [first] = outdated
    if (first) {
      const { cause } = replacementOf(state, first, limits, now)!
      // An operator waits for a reload. Where a slot is served, only what the service does by itself, or tries again, observes pauses.
      const isUrgent = cause === RELOAD || (cause === ROLLBACK && !state.rollout?.rollbackWaits)
      candidates.push({ slot, cause, waits: !serves(first) || !isUrgent })
    }
  }
  ends.push(...planControlEnd(state, ends))
  const next = candidates.find(({ slot, waits }) => !waits || mayFork(state, slot, now))
  if (!next || ends.length > 0 || isReplacing(state)) return ends
  return [{ type: 'fork', slot: next.slot, generation: generationFor(state, next.slot), cause: next.cause }]
}

/** Ends the rollout when every slot runs the new release, or when the rollback is complete. */
export function planRolloutEnd(state: State, limits: Limits): Action[] {
  const { rollout } = state
  if (!rollout) return []
  const { generation, failure } = rollout
  if (failure === undefined) {
    const isBusy = state.workers.some(
      (worker) => isLeaving(state, worker) || (worker.generation < generation && isWaitedFor(worker))
    )
    return isBusy || rolloutCursor(state) !== undefined ? [] : [{ type: 'end-rollout', outcome: 'done', generation }]
  }
  const isControlLeaving = state.workers.some((worker) => worker.control && isLeaving(state, worker))
  if (isControlLeaving || planControlEnd(state, []).length > 0) return []
  const remaining = state.workers.filter(
    (worker) => worker.generation === generation && worker.slot < state.desired && isWaitedFor(worker)
  )
  if (remaining.some((worker) => worker.status !== 'ready' || canRollBack(state, worker, limits))) return []
  const slots = remaining.filter(serves).map(({ slot }) => slot)
  const problem = state.releaseMissing ? 'is no longer on disk' : 'does not boot any more'
  const cause =
    slots.length === 0 ? failure : `${failure}; the release before it ${problem}: slot ${slots} stays on the new one`
  return [{ type: 'end-rollout', outcome: 'failed', generation, cause }]
}

/** The generation of a worker that is forked for this slot now. */
export function generationFor(state: State, slot: number): number {
  const { rollout, generation } = state
  if (!rollout || rollout.failure !== undefined) return generation
  return slot === rolloutCursor(state) || isRolledOut(state, slot) ? rollout.generation : generation
}

export function forkCause(state: State, slot: number): string {
  const { reason } = state.slots[slot] ?? {}
  if (reason) return `after ${reason}`
  return state.scaleCause ? `scaled up: ${state.scaleCause}` : 'wanted'
}

export const mayFork = (state: State, slot: number, now: number) => now >= (state.slots[slot]?.notBefore ?? 0)

/** Whether the worker is about to boot a release whose rollout has failed. */
export const isFailedCandidate = ({ rollout }: State, worker: Worker) =>
  rollout?.failure !== undefined && worker.generation === rollout.generation && worker.status === 'starting'

/** @returns undefined if the worker may stay */
function replacementOf(state: State, worker: Worker, limits: Limits, now: number): Replacement | undefined {
  const { rollout } = state
  if (rollout && rollout.failure === undefined && worker.generation < rollout.generation) {
    if (worker.slot === rolloutCursor(state) || isRolledOut(state, worker.slot)) return { cause: RELOAD }
  }
  if (rollout?.failure !== undefined && worker.generation === rollout.generation && worker.status === 'ready') {
    return canRollBack(state, worker, limits) ? { cause: ROLLBACK } : undefined
  }
  const recycled = recycleReasonOf(worker, limits, now)
  return recycled && { cause: `recycled: ${recycled}`, recycled }
}

/** The outdated workers of a slot that are no longer needed. */
function supersededBy(state: State, current: Worker[], outdated: Worker[], limits: Limits, now: number): Worker[] {
  if (current.some((worker) => serves(worker) && hasProved(state, worker, limits, now))) return outdated
  if (current.length > 0) return []
  // A reload may find a slot whose worker was just being recycled, and a trial ends with two or three: one of them is to replace.
  const serving = outdated.filter(serves)
  const kept = serving.findLast(({ generation }) => generation === wantedGeneration(state)) ?? serving.at(-1)
  return serving.filter((worker) => worker !== kept)
}

const wantedGeneration = ({ rollout, generation }: State) =>
  rollout && rollout.failure === undefined ? rollout.generation : generation

/** Whether one slot is being replaced: a worker leaves, or a slot has two workers. */
const isReplacing = (state: State) =>
  state.workers.some((worker) => isLeaving(state, worker)) ||
  slotsOf(state).some((slot) => liveIn(state, slot).length > 1)

const isLeaving = (state: State, worker: Worker) =>
  isWaitedFor(worker) && (!isLive(worker) || worker.killed !== undefined || worker.slot >= state.desired)

/** The first slot that does not run the new release yet. */
const rolloutCursor = (state: State) => slotsOf(state).find((slot) => !isRolledOut(state, slot))

/** Whether a worker of the new release serves the slot. */
const isRolledOut = (state: State, slot: number) =>
  liveIn(state, slot).some((worker) => worker.generation === state.rollout?.generation && worker.status === 'ready')

/** Whether a worker of the old release can take the place of this one, or is about to. */
const canRollBack = (state: State, { slot }: Worker, limits: Limits) =>
  (!state.releaseMissing && (state.rollout?.rollbackFailures ?? 0) < limits.bootAttempts) ||
  liveIn(state, slot).some((worker) => worker.generation === state.generation)

/** The first worker of a new release must last for the canary time. Further workers of it may take over at once. */
const hasProved = ({ rollout, workers }: State, worker: Worker, limits: Limits, now: number) =>
  worker.generation !== rollout?.generation ||
  rollout.verdict === 'promoted' ||
  now >= worker.since + limits.canaryMs ||
  workers.some((other) => other !== worker && other.generation === worker.generation && serves(other))
