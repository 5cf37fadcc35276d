import { endWorker } from './end-worker.ts'
import {
  forkCause,
  generationFor,
  isFailedCandidate,
  mayFork,
  planReplacements,
  planRolloutEnd,
  rollingSlots
} from './plan-rollout.ts'
import { isTrialOver, planControl, trialDeadline, withoutTrial } from './plan-trial.ts'
import type { Limits } from './policy-limits.ts'
import {
  type Action,
  isAnsweringAdminRequest,
  isInCharge,
  isLive,
  lingers,
  liveIn,
  maxAgeAt,
  type State,
  serves,
  slotsOf,
  type Worker
} from './types.ts'

/**
 * Returns the actions that follow from a state. Pure, and level-triggered: they depend on the state alone, whatever event led
 * to it. Every action feeds events back into `reduce`. An empty list means: wait until {@link nextDeadline} or an event.
 */
export function plan(state: State, limits: Limits, now: number): Action[] {
  const exit = planExit(state, limits)
  if (exit) return [exit]
  // What else is to be done follows from the state after the trial: a worker that is forked for the state before may be one too many.
  if (state.phase === 'running' && isTrialOver(state, now)) return [{ type: 'end-trial' }]
  const settled = withoutTrial(state)
  const actions =
    state.phase === 'running'
      ? [
          ...planOverdue(state, limits, now),
          ...planSilent(state, limits, now),
          ...planLingering(state, limits, now),
          ...planSurplus(state),
          ...planReplacements(settled, limits, now),
          ...planControl(state),
          ...planRolloutEnd(settled, limits),
          ...planFill(settled, limits, now)
        ]
      : [...planOverdue(state, limits, now), ...planStop(state, limits, now)]
  // There may be several reasons to end one worker: the first one counts.
  return actions.filter((action, i) => !('id' in action) || firstActionOn(actions, action.id) === i)
}

/** @returns when {@link plan} must be called again although nothing happens, on the clock of `now`; undefined: never */
export function nextDeadline(state: State, limits: Limits, now: number): number | undefined {
  const deadlines = state.workers
    .filter((worker) => !worker.killed)
    .flatMap((worker) => [
      exitDeadline(worker, limits),
      examineAt(worker, limits),
      ...(serves(worker) ? [maxAgeAt(worker, limits), worker.since + limits.canaryMs] : [])
    ])
  deadlines.push(trialDeadline(state))
  const pauses = slotsOf(state).map((slot) => state.slots[slot]?.notBefore ?? 0)
  const next = Math.min(...[...deadlines, ...pauses].filter((time) => time > now))
  return Number.isFinite(next) ? next : undefined
}

/** The service gives up only while no worker serves: either none ever did, or every slot has failed again and again. */
function planExit(state: State, limits: Limits): Action | undefined {
  // A candidate that fails is ended by the primary that it was to replace.
  if (state.phase !== 'running' || limits.waitsForReload || state.share) return undefined
  const { count, final, cause } = state.bootFailures
  if (!state.everReady) {
    return final || count >= limits.bootAttempts ? { type: 'exit', code: 'cannot-boot', cause } : undefined
  }
  const slots = slotsOf(state).map((slot) => state.slots[slot])
  if (state.workers.some(isLive) || !slots.every((slot) => slot && slot.failures >= limits.slotAttempts)) {
    return undefined
  }
  const code = slots.every((slot) => slot?.reason?.startsWith('boot')) ? 'cannot-boot' : 'crash-loop'
  return { type: 'exit', code, cause: `every worker failed ${limits.slotAttempts} times in a row` }
}

function planOverdue(state: State, limits: Limits, now: number): Action[] {
  return state.workers
    .filter((worker) => !worker.killed)
    .flatMap((worker): Action[] => {
      const { id, status, lost } = worker
      if (lost?.cause !== undefined) return [{ type: 'kill', id, reason: 'lost', cause: lost.cause }]
      if (lost || now < exitDeadline(worker, limits)) return []
      const cause = status === 'starting' ? `not ready in ${limits.bootMs} ms` : 'drain deadline'
      return [{ type: 'kill', id, reason: 'late', cause }]
    })
}

function planSilent(state: State, limits: Limits, now: number): Action[] {
  return state.workers
    .filter((worker) => !worker.killed && now >= examineAt(worker, limits))
    .map(({ id }) => ({ type: 'examine', id }))
}

/** Limits the time of the workers that have lingered longest, while more linger or need more memory than allowed. */
function planLingering(state: State, limits: Limits, now: number): Action[] {
  const { maxLingering = 2 * state.desired, maxLingeringBytes } = limits
  const oldestFirst = state.workers
    .filter((worker) => lingers(worker) && worker.cutAt === undefined)
    .sort((a, b) => a.since - b.since)
  let count = oldestFirst.length
  let bytes = oldestFirst.reduce((sum, { rssBytes = 0 }) => sum + rssBytes, 0)
  const actions: Action[] = []
  for (const worker of oldestFirst) {
    const tooMany = maxLingering > 0 && count > maxLingering
    if (!tooMany && (maxLingeringBytes === 0 || bytes <= maxLingeringBytes)) break
    const cause = tooMany ? `more than ${maxLingering} workers linger` : 'lingering workers need too much memory'
    const deadlineMs = Math.max(0, worker.since + limits.drainMs - limits.marginMs - now)
    actions.push({ type: 'finish', id: worker.id, transfer: true, deadlineMs, cause })
    count--
    bytes -= worker.rssBytes ?? 0
  }
  return actions
}

function planStop(state: State, limits: Limits, now: number): Action[] {
  const cause = 'the service stops'
  const rollout: Action[] = state.rollout
    ? [{ type: 'end-rollout', outcome: 'stopped', generation: state.rollout.generation, cause }]
    : []
  if (state.phase === 'lame-duck') return rollout
  if (state.workers.length === 0) return [...rollout, { type: 'exit', code: 'drained', cause: 'every worker has left' }]
  return [
    ...rollout,
    ...state.workers.flatMap((worker) => [
      ...endWorker(worker, cause, false),
      ...finishDrain(worker, limits, now, cause)
    ])
  ]
}

/** Tells a worker that drains already that no worker takes connections any more, and when the service ends. */
function finishDrain(worker: Worker, { drainMs, marginMs }: Limits, now: number, cause: string): Action[] {
  const { id, transfers, drained, killed, lost, cutAt = Number.POSITIVE_INFINITY } = worker
  if (!transfers || drained || killed || lost) return []
  const deadlineMs = Math.max(0, Math.min(drainMs - marginMs, cutAt - now))
  return [{ type: 'finish', id, transfer: false, deadlineMs, cause }]
}

/** Ends the workers of slots that are no longer wanted, or that another primary is in charge of. */
function planSurplus(state: State): Action[] {
  const isIsolated = state.share?.isIsolated
  return state.workers.flatMap((worker) => {
    if (!isInCharge(state, worker.slot)) {
      return endWorker(worker, 'the other primary serves the slot').map((action) =>
        isIsolated ? { ...action, isIsolated } : action
      )
    }
    return worker.slot >= state.desired
      ? endWorker(worker, state.scaleCause ? `scaled down: ${state.scaleCause}` : 'scaled down')
      : []
  })
}

/** Forks a worker for every wanted slot that has no live one. */
function planFill(state: State, limits: Limits, now: number): Action[] {
  if (state.share?.failure !== undefined) return []
  const rolling = rollingSlots(state, limits, now)
  return slotsOf(state)
    .filter((slot) => mayFork(state, slot, now))
    .filter((slot) => liveIn(state, slot).every((worker) => isFailedCandidate(state, worker)))
    .map((slot) => ({
      type: 'fork',
      slot,
      generation: generationFor(state, slot, rolling),
      cause: forkCause(state, slot)
    }))
}

const firstActionOn = (actions: Action[], id: number) =>
  actions.findIndex((action) => 'id' in action && action.id === id)

/** When a worker that starts or drains is killed; infinity for others. */
function exitDeadline(worker: Worker, limits: Limits): number {
  if (worker.status === 'ready' || worker.lost || isAnsweringAdminRequest(worker)) return Number.POSITIVE_INFINITY
  if (worker.status === 'starting') return worker.since + limits.bootMs
  return drainDeadline(worker, limits) + (worker.snapshot === undefined ? 0 : limits.snapshotMs)
}

function drainDeadline({ since, cutAt, ...worker }: Worker, { drainMs, lingerMs, marginMs }: Limits): number {
  if (worker.drained) return since + drainMs
  if (cutAt !== undefined) return cutAt + marginMs
  return since + (worker.lingers ? Math.max(drainMs, lingerMs + marginMs) : drainMs)
}

/** When a worker is examined that stays silent while its event loop has something to do for clients, for the first time or again. */
function examineAt(worker: Worker, { heartbeatMs, reexamineMs }: Limits): number {
  if (heartbeatMs === 0 || !(serves(worker) || lingers(worker))) return Number.POSITIVE_INFINITY
  const again = (worker.examinedAt ?? Number.NEGATIVE_INFINITY) + reexamineMs
  return Math.max(worker.lastHeartbeatAt + heartbeatMs, again)
}
