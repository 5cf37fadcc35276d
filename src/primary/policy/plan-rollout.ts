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
 * The new worker serves before the old one drains. A slot is replaced until the old worker has exited or lingers; then the next
 * one begins. Only a rollout and its rollback replace several slots at a time: see {@link slotsAtATime}.
 */
export function planReplacements(state: State, limits: Limits, now: number): Action[] {
  const ends: Action[] = state.workers
    .filter((worker) => !worker.bootFailed && isFailedCandidate(state, worker))
    .flatMap((worker) => endWorker(worker, 'its rollout failed'))
  const candidates: { slot: number; cause: string; waits: boolean }[] = []
  const rolling = rollingSlots(state, limits, now)
  const reasonFor = (worker: Worker) => replacementOf(state, worker, rolling, limits, now)
  for (const slot of slotsOf(state)) {
    const live = liveIn(state, slot)
    const outdated = live.filter((worker) => reasonFor(worker) !== undefined)
    const current = live.filter((worker) => !outdated.includes(worker))
    for (const worker of supersededBy(state, current, outdated, limits, now)) {
      const { cause, recycled } = reasonFor(worker)!
      ends.push(...endWorker(worker, cause).map((action) => (recycled ? { ...action, recycled } : action)))
    }
    const [first] = outdated
    if (first) {
      const { cause } = reasonFor(first)!
      // An operator waits for a reload. Where a slot is served, only what the service does by itself, or tries again, observes pauses.
      const isUrgent = cause === RELOAD || (cause === ROLLBACK && !state.rollout?.rollbackWaits)
      candidates.push({ slot, cause, waits: !serves(first) || !isUrgent })
    }
  }
  ends.push(...planControlEnd(state, ends))
  if (ends.length > 0) return ends
  const replaced = slotsInReplacement(state)
  if (replaced.size >= slotsAtATime(state, limits, now) || (replaced.size > 0 && !hasRoom(state, limits))) return []
  const next = candidates.find(({ slot, waits }) => !replaced.has(slot) && (!waits || mayFork(state, slot, now)))
  if (!next) return []
  return [{ type: 'fork', slot: next.slot, generation: generationFor(state, next.slot, rolling), cause: next.cause }]
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
    const isDone = !isBusy && slotsOf(state).every((slot) => isRolledOut(state, slot))
    return isDone ? [{ type: 'end-rollout', outcome: 'done', generation }] : []
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

/**
 * The generation of a worker that is forked for this slot now.
 * @param rolling as {@link rollingSlots} returns them
 */
export const generationFor = ({ rollout, generation }: State, slot: number, rolling: ReadonlySet<number>): number =>
  rollout && rolling.has(slot) ? rollout.generation : generation

/** The slots that are to have the new release: those that a worker of it serves, and those whose turn it is. */
export function rollingSlots(state: State, limits: Limits, now: number): ReadonlySet<number> {
  if (!state.rollout || state.rollout.failure !== undefined) return new Set()
  const slots = slotsOf(state)
  const behind = slots.filter((slot) => !isRolledOut(state, slot))
  const later = new Set(behind.slice(slotsAtATime(state, limits, now)))
  return new Set(slots.filter((slot) => !later.has(slot)))
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
function replacementOf(
  state: State,
  worker: Worker,
  rolling: ReadonlySet<number>,
  limits: Limits,
  now: number
): Replacement | undefined {
  const { rollout } = state
  if (rollout && rolling.has(worker.slot) && worker.generation < rollout.generation) return { cause: RELOAD }
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

/**
 * How many slots may be replaced at a time: one, and more only when the release to come is known to serve, which is the new one
 * after its first worker has proved itself, and the old one in a rollback.
 */
function slotsAtATime(state: State, limits: Limits, now: number): number {
  const { rollout, workers } = state
  if (!rollout) return 1
  const isProved = workers.some(
    (worker) => worker.generation === rollout.generation && hasProved(state, worker, limits, now) && serves(worker)
  )
  return rollout.failure !== undefined || isProved ? limits.surge : 1
}

/** Whether the memory has room for one more worker, as large as the largest one. Workers that have not told their size count as that. */
function hasRoom({ workers }: State, { surgeBytes }: Limits): boolean {
  const largest = Math.max(0, ...workers.map(({ rssBytes = 0 }) => rssBytes))
  return workers.reduce((sum, { rssBytes = largest }) => sum + rssBytes, largest) <= surgeBytes
}

/** The slots that are being replaced: a worker leaves, or the slot has two workers. */
const slotsInReplacement = (state: State) =>
  new Set([
    ...state.workers.filter((worker) => isLeaving(state, worker)).map(({ slot }) => slot),
    ...slotsOf(state).filter((slot) => liveIn(state, slot).length > 1)
  ])

const isLeaving = (state: State, worker: Worker) =>
  isWaitedFor(worker) && (!isLive(worker) || worker.killed !== undefined || worker.slot >= state.desired)

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
