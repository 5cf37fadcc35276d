import {
  type Action,
  endOfAge,
  isAnsweringAdminRequest,
  isLive,
  type Limits,
  liveIn,
  type RecycleReason,
  recycling,
  type State,
  serves,
  slotsOf,
  type Worker
} from './types.ts'

/**
 * What to do about a state: all policy of the supervisor, pure. Level, not edge: whatever happened, what is done follows
 * from the state alone. Doing it feeds events back into `apply`; an empty answer means: wait.
 */
export function plan(state: State, limits: Limits, now: number): Action[] {
  const gaveUp = planGiveUp(state, limits)
  if (gaveUp) return [gaveUp]
  const actions =
    state.phase === 'running'
      ? [
          ...planOverdue(state, limits, now),
          ...planSilent(state, limits, now),
          ...planSurplus(state),
          ...planReplacements(state, limits, now),
          ...planRollEnd(state, limits),
          ...planFill(state, now)
        ]
      : [...planOverdue(state, limits, now), ...planStop(state)]
  // There may be several reasons to end a worker: the first one counts.
  return actions.filter((action, i) => !('id' in action) || firstFor(actions, action.id) === i)
}

/** When {@link plan} must be asked again though nothing happens, in ms of the same clock; undefined: never. */
export function nextDeadline(state: State, limits: Limits, now: number): number | undefined {
  const ofWorkers = state.workers
    .filter((worker) => !worker.killed)
    .flatMap((worker) => [
      deadlineOf(worker, limits),
      ...(serves(worker) ? [lookAt(worker, limits), endOfAge(worker, limits), worker.since + limits.canaryMs] : [])
    ])
  const pauses = slotsOf(state).map((slot) => state.slots[slot]?.notBefore ?? 0)
  const next = Math.min(...[...ofWorkers, ...pauses].filter((time) => time > now))
  return Number.isFinite(next) ? next : undefined
}

/** The service ends by itself only when nothing serves: it never could, or every slot has failed again and again. */
function planGiveUp(state: State, limits: Limits): Action | undefined {
  if (state.phase !== 'running') return undefined
  const { count, final, why } = state.bootFailures
  if (!state.everReady) {
    return final || count >= limits.bootAttempts ? { type: 'exit', code: 'cannot-boot', why } : undefined
  }
  const slots = slotsOf(state).map((slot) => state.slots[slot])
  if (state.workers.some(isLive) || !slots.every((slot) => slot && slot.failures >= limits.slotAttempts)) {
    return undefined
  }
  const code = slots.every((slot) => slot?.reason.startsWith('boot')) ? 'cannot-boot' : 'crash-loop'
  return { type: 'exit', code, why: `every worker failed ${limits.slotAttempts} times in a row` }
}

function planOverdue(state: State, limits: Limits, now: number): Action[] {
  return state.workers
    .filter((worker) => !worker.killed)
    .flatMap((worker): Action[] => {
      const { id, status, lost } = worker
      if (lost?.why !== undefined) return [{ type: 'kill', id, reason: 'lost', why: lost.why }]
      if (lost || now < deadlineOf(worker, limits)) return []
      const why = status === 'starting' ? `not ready in ${limits.bootMs} ms` : 'drain deadline'
      return [{ type: 'kill', id, reason: 'late', why }]
    })
}

function planSilent(state: State, limits: Limits, now: number): Action[] {
  return state.workers
    .filter((worker) => serves(worker) && !worker.killed && now >= lookAt(worker, limits))
    .map(({ id }) => ({ type: 'examine', id }))
}

function planStop(state: State): Action[] {
  const why = 'the service stops'
  const roll: Action[] = state.rollout
    ? [{ type: 'end-roll', outcome: 'stopped', generation: state.rollout.generation, why }]
    : []
  if (state.phase === 'lame') return roll
  if (state.workers.length === 0) return [...roll, { type: 'exit', code: 'drained', why: 'every worker has left' }]
  return [...roll, ...state.workers.flatMap((worker) => end(worker, why, false))]
}

/** Workers of slots that are wanted no more. */
function planSurplus(state: State): Action[] {
  return state.workers.filter((worker) => worker.slot >= state.desired).flatMap((worker) => end(worker, 'scaled down'))
}

/**
 * Reload, the way back from a failed one, and recycling are the same: a slot has a worker that is to be replaced. One
 * slot after the other: the new worker serves before the old one leaves, and gone is the old one before the next slot.
 */
function planReplacements(state: State, limits: Limits, now: number): Action[] {
  const unwanted = state.workers.filter(
    (worker) => worker.status === 'starting' && !worker.failed && isFailedCandidate(state, worker)
  )
  const outdated = (worker: Worker) => replacement(state, worker, limits, now)
  const ends: Action[] = unwanted.flatMap((worker) => end(worker, 'its rolling restart failed'))
  const candidates: { slot: number; why: string; waits: boolean }[] = []
  for (const slot of slotsOf(state)) {
    const live = liveIn(state, slot)
    const old = live.filter((worker) => outdated(worker) !== undefined)
    const fresh = live.filter((worker) => outdated(worker) === undefined)
    const isServed = fresh.some((worker) => serves(worker) && hasProved(state, worker, limits, now))
    // A reload may find a slot whose worker was just being recycled: then the newer of the two is the one to replace.
    const superseded = isServed ? old : fresh.length === 0 ? old.filter(serves).slice(0, -1) : []
    for (const worker of superseded) {
      const { why, recycled } = outdated(worker)!
      ends.push(...end(worker, why).map((action) => (recycled ? { ...action, recycled } : action)))
    }
    if (old[0] && fresh.length === 0) {
      const { why } = outdated(old[0])!
      // Somebody asked for a reload and is waiting: where a slot is served, pauses are for what the service does by itself.
      candidates.push({ slot, why, waits: !old.some(serves) || (why !== RELOAD && why !== GO_BACK) })
    }
  }
  const leaving = state.workers.some(
    (worker) => !isAnsweringAdminRequest(worker) && (!isLive(worker) || worker.killed || worker.slot >= state.desired)
  )
  const double = slotsOf(state).some((slot) => liveIn(state, slot).length > 1)
  const next = candidates.find(({ slot, waits }) => !waits || mayFork(state, slot, now))
  if (!next || leaving || double || ends.length > 0) return ends
  return [...ends, { type: 'fork', slot: next.slot, generation: generationFor(state, next.slot), why: next.why }]
}

/** Why another worker is to take this one's place; undefined: it is as it should be. */
function replacement(
  state: State,
  worker: Worker,
  limits: Limits,
  now: number
): { why: string; recycled?: RecycleReason } | undefined {
  const { rollout } = state
  if (rollout && rollout.failure === undefined && worker.generation < rollout.generation) {
    if (worker.slot === rollCursor(state) || isRolled(state, worker.slot)) return { why: RELOAD }
  }
  if (rollout?.failure !== undefined && worker.generation === rollout.generation && worker.status === 'ready') {
    return goesBack(state, worker, limits) ? { why: GO_BACK } : undefined
  }
  const recycled = worker.status === 'ready' && recycling(worker, limits, now)
  return recycled ? { why: `recycled: ${recycled}`, recycled } : undefined
}

const RELOAD = 'reload'
const GO_BACK = 'back from a failed reload'

function planRollEnd(state: State, limits: Limits): Action[] {
  const { rollout } = state
  if (!rollout) return []
  const { generation, failure } = rollout
  if (failure === undefined) {
    const busy = state.workers.some(
      (worker) =>
        !isAnsweringAdminRequest(worker) &&
        (!isLive(worker) || worker.killed || worker.generation < generation || worker.slot >= state.desired)
    )
    return busy || rollCursor(state) !== undefined ? [] : [{ type: 'end-roll', outcome: 'done', generation }]
  }
  const left = state.workers.filter((worker) => worker.generation === generation && worker.slot < state.desired)
  if (left.some((worker) => worker.status !== 'ready' || goesBack(state, worker, limits))) return []
  const stay = left.filter(serves).map(({ slot }) => slot)
  const lost = state.releaseGone ? 'is no longer on disk' : 'does not boot any more'
  const why =
    stay.length === 0 ? failure : `${failure}; the release before it ${lost}: slot ${stay} stays on the new one`
  return [{ type: 'end-roll', outcome: 'failed', generation, why }]
}

/** Every wanted slot has a worker that lives. */
function planFill(state: State, now: number): Action[] {
  return slotsOf(state)
    .filter(
      (slot) => !liveIn(state, slot).some((worker) => !isFailedCandidate(state, worker)) && mayFork(state, slot, now)
    )
    .map((slot) => {
      const why = state.slots[slot] ? `after ${state.slots[slot].reason}` : 'wanted'
      return { type: 'fork', slot, generation: generationFor(state, slot), why }
    })
}

/** Ends a worker that is not wanted any more, the way its status asks for; nothing for one that is leaving already. */
function end(worker: Worker, why: string, handOver = true): Action[] {
  if (worker.killed || !isLive(worker)) return []
  if (worker.status === 'ready') return [{ type: 'drain', id: worker.id, handOver, why }]
  return [{ type: 'kill', id: worker.id, reason: 'unwanted', why }]
}

/** The first slot that is not rolled yet. */
const rollCursor = (state: State) => slotsOf(state).find((slot) => !isRolled(state, slot))
/** A worker of the generation rolled out serves the slot. */
const isRolled = (state: State, slot: number) =>
  liveIn(state, slot).some((worker) => worker.generation === state.rollout?.generation && worker.status === 'ready')
/** It is about to boot a release whose roll has failed. */
const isFailedCandidate = ({ rollout }: State, worker: Worker) =>
  rollout?.failure !== undefined && worker.generation === rollout.generation && worker.status === 'starting'
/** A worker of the old release can take its place, or is about to. */
const goesBack = (state: State, { slot }: Worker, limits: Limits) =>
  (!state.releaseGone && (state.rollout?.backFailures ?? 0) < limits.bootAttempts) ||
  liveIn(state, slot).some((worker) => worker.generation === state.generation)
/** A worker that takes this slot now is of this generation. */
const generationFor = (state: State, slot: number) =>
  state.rollout && state.rollout.failure === undefined && (slot === rollCursor(state) || isRolled(state, slot))
    ? state.rollout.generation
    : state.generation
/** The first worker of a new release has to last a moment; what worked in one slot may take over in the others at once. */
const hasProved = ({ rollout, workers }: State, worker: Worker, limits: Limits, now: number) =>
  worker.generation !== rollout?.generation ||
  now >= worker.since + limits.canaryMs ||
  workers.some((other) => other !== worker && other.generation === worker.generation && serves(other))

const firstFor = (actions: Action[], id: number) => actions.findIndex((action) => 'id' in action && action.id === id)
const mayFork = (state: State, slot: number, now: number) => now >= (state.slots[slot]?.notBefore ?? 0)
function deadlineOf(worker: Worker, limits: Limits): number {
  if (worker.status === 'ready' || worker.lost || isAnsweringAdminRequest(worker)) return Number.POSITIVE_INFINITY
  if (worker.status === 'starting') return worker.since + limits.bootMs
  return worker.since + limits.drainMs + (worker.snapshot === undefined ? 0 : limits.snapshotMs)
}
/** When a worker that stays silent is to be looked at (again). */
const lookAt = (worker: Worker, limits: Limits) =>
  limits.heartbeatMs === 0
    ? Number.POSITIVE_INFINITY
    : Math.max(
        worker.heardAt + limits.heartbeatMs,
        (worker.examinedAt ?? Number.NEGATIVE_INFINITY) + limits.lookAgainMs
      )
