import {
  endWorker,
  forkCause,
  generationFor,
  isFailedCandidate,
  mayFork,
  planReplacements,
  planRolloutEnd
} from './plan-rollout.ts'
import {
  type Action,
  isAnsweringAdminRequest,
  isLive,
  type Limits,
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
  const actions =
    state.phase === 'running'
      ? [
          ...planOverdue(state, limits, now),
          ...planSilent(state, limits, now),
          ...planSurplus(state),
          ...planReplacements(state, limits, now),
          ...planRolloutEnd(state, limits),
          ...planFill(state, now)
        ]
      : [...planOverdue(state, limits, now), ...planStop(state)]
  // There may be several reasons to end one worker: the first one counts.
  return actions.filter((action, i) => !('id' in action) || firstActionOn(actions, action.id) === i)
}

/** @returns when {@link plan} must be called again although nothing happens, on the clock of `now`; undefined: never */
export function nextDeadline(state: State, limits: Limits, now: number): number | undefined {
  const deadlines = state.workers
    .filter((worker) => !worker.killed)
    .flatMap((worker) => [
      exitDeadline(worker, limits),
      ...(serves(worker) ? [examineAt(worker, limits), maxAgeAt(worker, limits), worker.since + limits.canaryMs] : [])
    ])
  const pauses = slotsOf(state).map((slot) => state.slots[slot]?.notBefore ?? 0)
  const next = Math.min(...[...deadlines, ...pauses].filter((time) => time > now))
  return Number.isFinite(next) ? next : undefined
}

/** The service gives up only while no worker serves: either none ever did, or every slot has failed again and again. */
function planExit(state: State, limits: Limits): Action | undefined {
  if (state.phase !== 'running' || limits.waitsForReload) return undefined
  const { count, final, cause } = state.bootFailures
  if (!state.everReady) {
    return final || count >= limits.bootAttempts ? { type: 'exit', code: 'cannot-boot', cause } : undefined
  }
  const slots = slotsOf(state).map((slot) => state.slots[slot])
  if (state.workers.some(isLive) || !slots.every((slot) => slot && slot.failures >= limits.slotAttempts)) {
    return undefined
  }
  const code = slots.every((slot) => slot?.reason.startsWith('boot')) ? 'cannot-boot' : 'crash-loop'
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
    .filter((worker) => serves(worker) && !worker.killed && now >= examineAt(worker, limits))
    .map(({ id }) => ({ type: 'examine', id }))
}

function planStop(state: State): Action[] {
  const cause = 'the service stops'
  const rollout: Action[] = state.rollout
    ? [{ type: 'end-rollout', outcome: 'stopped', generation: state.rollout.generation, cause }]
    : []
  if (state.phase === 'lame-duck') return rollout
  if (state.workers.length === 0) return [...rollout, { type: 'exit', code: 'drained', cause: 'every worker has left' }]
  return [...rollout, ...state.workers.flatMap((worker) => endWorker(worker, cause, false))]
}

/** Ends the workers of slots that are no longer wanted. */
function planSurplus(state: State): Action[] {
  return state.workers
    .filter((worker) => worker.slot >= state.desired)
    .flatMap((worker) => endWorker(worker, 'scaled down'))
}

/** Forks a worker for every wanted slot that has no live one. */
function planFill(state: State, now: number): Action[] {
  return slotsOf(state)
    .filter((slot) => mayFork(state, slot, now))
    .filter((slot) => liveIn(state, slot).every((worker) => isFailedCandidate(state, worker)))
    .map((slot) => ({
      type: 'fork',
      slot,
      generation: generationFor(state, slot),
      cause: forkCause(state, slot)
    }))
}

const firstActionOn = (actions: Action[], id: number) =>
  actions.findIndex((action) => 'id' in action && action.id === id)

/** When a worker that starts or drains is killed; infinity for others. */
function exitDeadline(worker: Worker, limits: Limits): number {
  if (worker.status === 'ready' || worker.lost || isAnsweringAdminRequest(worker)) return Number.POSITIVE_INFINITY
  if (worker.status === 'starting') return worker.since + limits.bootMs
  return worker.since + limits.drainMs + (worker.snapshot === undefined ? 0 : limits.snapshotMs)
}

/** When a worker that stays silent is examined, for the first time or again. */
function examineAt(worker: Worker, { heartbeatMs, reexamineMs }: Limits): number {
  if (heartbeatMs === 0) return Number.POSITIVE_INFINITY
  const again = (worker.examinedAt ?? Number.NEGATIVE_INFINITY) + reexamineMs
  return Math.max(worker.lastHeartbeatAt + heartbeatMs, again)
}
