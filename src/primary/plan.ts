/**
 * All policy of the supervisor, pure: `apply` says what an event makes of the state, `plan` what to do about a state.
 * Level, not edge: whatever happened, what is done follows from the state alone. Times are ms of a monotonic clock.
 */

export type Status = 'starting' | 'ready' | 'draining'
/** Why a worker was started anew; the label of the restart counter. */
export type RestartReason = 'crash' | 'boot-failure' | 'boot-timeout'

export interface Worker {
  id: number
  pid: number
  slot: number
  generation: number
  status: Status
  /** When it entered its status. */
  since: number
  /** SIGKILL has been sent, because it was late or because it is not wanted any more; the exit is on its way. */
  killed?: 'late' | 'unwanted'
  /** It has said that it cannot boot, and is leaving. */
  failed?: true
}

export interface State {
  phase: 'running' | 'lame' | 'draining'
  desired: number
  /** The generation that serves; a replacement is forked with it. */
  generation: number
  lastGeneration: number
  workers: readonly Worker[]
  /** Per slot: failures in a row, and when the next fork may be. */
  slots: Readonly<Record<number, { failures: number; notBefore: number }>>
  /** The one rolling restart under way; `failure` ends it. */
  roll?: { generation: number; failure?: string } | undefined
  /** A reload was asked for during a roll: another roll follows. */
  rollAgain: boolean
  everReady: boolean
  /** Boot failures in a row while no worker has ever been ready. */
  bootFailures: { count: number; final: boolean; why: string }
  restarts: Readonly<Record<RestartReason, number>>
}

export interface Limits {
  bootMs: number
  /** Deadline of a drain, the worker's own plus what it needs to say so. */
  drainMs: number
  /** A worker that was ready for so long is stable: its crash is its slot's first again. */
  stableMs: number
  backoff: { firstMs: number; maxMs: number }
  /** Give up when so many workers failed to boot and none was ever ready. */
  bootAttempts: number
}

export const LIMITS = { stableMs: 10_000, backoff: { firstMs: 100, maxMs: 30_000 }, bootAttempts: 3 } as const

export type Event =
  | { type: 'forked'; id: number; pid: number; slot: number; generation: number }
  | { type: 'ready' | 'drain-sent'; id: number }
  | { type: 'kill-sent'; id: number; reason: 'late' | 'unwanted' }
  /** The worker says that it cannot boot, as another try would find too. */
  | { type: 'boot-failed'; id: number; why: string }
  /** `random` in [0, 1) is the jitter of the backoff. */
  | { type: 'exit'; id: number; how: string; random: number }
  | { type: 'reload' | 'roll-ended' | 'stop' | 'port-closed' }
  | { type: 'scale'; desired: number }

export type Action =
  | { type: 'fork'; slot: number; generation: number }
  | { type: 'drain'; id: number; handOver: boolean }
  | { type: 'kill'; id: number; reason: 'late' | 'unwanted'; why: string }
  | { type: 'end-roll'; outcome: 'done' | 'failed' | 'stopped'; generation: number; why?: string }
  | { type: 'exit'; code: 'drained' | 'cannot-boot'; why: string }

export function initialState(desired: number): State {
  return {
    phase: 'running',
    desired,
    generation: 1,
    lastGeneration: 1,
    workers: [],
    slots: {},
    rollAgain: false,
    everReady: false,
    bootFailures: { count: 0, final: false, why: '' },
    restarts: { crash: 0, 'boot-failure': 0, 'boot-timeout': 0 }
  }
}

/** What an event makes of the state. An event about a worker that is not there changes nothing. */
export function apply(state: State, event: Event, now: number, limits: Limits): State {
  switch (event.type) {
    case 'forked': {
      const { type: _, ...worker } = event
      return { ...state, workers: [...state.workers, { ...worker, status: 'starting', since: now }] }
    }
    case 'ready':
      return update(state, event.id, (worker) => worker.status === 'starting' && { status: 'ready', since: now }, {
        everReady: true
      })
    case 'drain-sent':
      return update(state, event.id, (worker) => worker.status !== 'draining' && { status: 'draining', since: now })
    case 'kill-sent':
      return update(state, event.id, () => ({ killed: event.reason }))
    case 'boot-failed':
      return failBoot(state, find(state, event.id), event.why, true)
    case 'exit':
      return exited(state, event, now, limits)
    case 'reload':
      if (state.phase !== 'running') return state
      if (state.roll) return { ...state, rollAgain: true }
      return startRoll(state)
    case 'roll-ended': {
      if (!state.roll) return state
      const { roll, ...rest } = state
      const ended =
        roll.failure === undefined && state.phase === 'running' ? { ...rest, generation: roll.generation } : rest
      return state.rollAgain && state.phase === 'running'
        ? startRoll({ ...ended, rollAgain: false })
        : { ...ended, rollAgain: false }
    }
    case 'scale':
      return { ...state, desired: event.desired }
    case 'stop':
      return state.phase === 'running' ? { ...state, phase: 'lame' } : state
    case 'port-closed':
      return { ...state, phase: 'draining' }
  }
}

/** What to do about a state. Doing it feeds events back into {@link apply}; an empty answer means: wait. */
export function plan(state: State, limits: Limits, now: number): Action[] {
  const gaveUp = planGiveUp(state, limits)
  if (gaveUp) return [gaveUp]
  const actions =
    state.phase === 'running'
      ? [...planOverdue(state, limits, now), ...planSurplus(state), ...planRoll(state, now), ...planFill(state, now)]
      : [...planOverdue(state, limits, now), ...planStop(state)]
  // There may be several reasons to end a worker: the first one counts.
  return actions.filter((action, i) => !('id' in action) || firstFor(actions, action.id) === i)
}

/** When {@link plan} must be asked again though nothing happens, in ms of the same clock; undefined: never. */
export function wakeAt(state: State, limits: Limits, now: number): number | undefined {
  const deadlines = state.workers.filter((worker) => !worker.killed).map((worker) => deadlineOf(worker, limits))
  const backoffs = slotsOf(state).flatMap((slot) =>
    liveIn(state, slot).some((worker) => worker.status === 'ready') ? [] : [state.slots[slot]?.notBefore ?? 0]
  )
  const next = Math.min(...[...deadlines, ...backoffs].filter((time) => time > now))
  return Number.isFinite(next) ? next : undefined
}

function planGiveUp(state: State, limits: Limits): Action | undefined {
  const { count, final, why } = state.bootFailures
  if (state.everReady || state.phase !== 'running' || (!final && count < limits.bootAttempts)) return undefined
  return { type: 'exit', code: 'cannot-boot', why }
}

function planOverdue(state: State, limits: Limits, now: number): Action[] {
  return state.workers
    .filter((worker) => !worker.killed && now >= deadlineOf(worker, limits))
    .map(({ id, status }) => {
      const why = status === 'starting' ? `not ready in ${limits.bootMs} ms` : 'drain deadline'
      return { type: 'kill', id, reason: 'late', why }
    })
}

function planStop(state: State): Action[] {
  const why = 'the service stops'
  const roll: Action[] = state.roll
    ? [{ type: 'end-roll', outcome: 'stopped', generation: state.roll.generation, why }]
    : []
  if (state.phase === 'lame') return roll
  if (state.workers.length === 0) return [...roll, { type: 'exit', code: 'drained', why: 'every worker has left' }]
  return [...roll, ...state.workers.flatMap((worker) => end(worker, why, false))]
}

/** Workers of slots that are wanted no more. */
function planSurplus(state: State): Action[] {
  return state.workers.filter((worker) => worker.slot >= state.desired).flatMap((worker) => end(worker, 'scaled down'))
}

/** One slot after the other: the new worker is ready before the old one leaves, and gone is the old before the next slot. */
function planRoll(state: State, now: number): Action[] {
  if (!state.roll) return []
  const { generation, failure } = state.roll
  if (failure !== undefined) {
    const candidates = state.workers.filter(
      (worker) => worker.generation === generation && worker.status === 'starting'
    )
    if (candidates.length === 0) return [{ type: 'end-roll', outcome: 'failed', generation, why: failure }]
    // One that said itself that it cannot boot is leaving; another slot's is not to follow it.
    return candidates.filter((worker) => !worker.failed).flatMap((worker) => end(worker, 'its rolling restart failed'))
  }
  const old = state.workers.filter((worker) => worker.generation < generation && isRolled(state, worker.slot))
  const leaving =
    old.length > 0 ||
    state.workers.some((worker) => worker.status === 'draining' || worker.killed || worker.slot >= state.desired)
  const slot = rollCursor(state)
  const next: Action[] =
    slot === undefined
      ? leaving
        ? []
        : [{ type: 'end-roll', outcome: 'done', generation }]
      : planCandidate(state, slot, generation, leaving, now)
  return [...old.flatMap((worker) => end(worker, 'replaced')), ...next]
}

/** Where nobody serves a slot its candidate is forked at once; else when nobody else is leaving any more. */
function planCandidate(state: State, slot: number, generation: number, leaving: boolean, now: number): Action[] {
  const live = liveIn(state, slot)
  if (live.some((worker) => worker.generation === generation)) return []
  const oldServes = live.some((worker) => worker.status === 'ready')
  if (!oldServes && !mayFork(state, slot, now)) return []
  const busy = leaving || slotsOf(state).some((other) => liveIn(state, other).length > 1)
  return live.length > 0 && busy ? [] : [{ type: 'fork', slot, generation }]
}

/** Every wanted slot has a worker that lives. */
function planFill(state: State, now: number): Action[] {
  const cursor = state.roll && state.roll.failure === undefined ? rollCursor(state) : undefined
  return slotsOf(state)
    .filter((slot) => slot !== cursor && liveIn(state, slot).length === 0 && mayFork(state, slot, now))
    .map((slot) => ({ type: 'fork', slot, generation: state.generation }))
}

/** Ends a worker that is not wanted any more, the way its status asks for; nothing for one that is leaving already. */
function end(worker: Worker, why: string, handOver = true): Action[] {
  if (worker.killed || worker.status === 'draining') return []
  if (worker.status === 'ready') return [{ type: 'drain', id: worker.id, handOver }]
  return [{ type: 'kill', id: worker.id, reason: 'unwanted', why }]
}

/** The first slot that is not rolled yet. */
const rollCursor = (state: State) => slotsOf(state).find((slot) => !isRolled(state, slot))
/** A worker of the generation rolled out serves the slot. */
const isRolled = (state: State, slot: number) =>
  liveIn(state, slot).some((worker) => worker.generation === state.roll?.generation && worker.status === 'ready')

function startRoll(state: State): State {
  const generation = state.lastGeneration + 1
  return { ...state, lastGeneration: generation, roll: { generation } }
}

function exited(state: State, event: Extract<Event, { type: 'exit' }>, now: number, limits: Limits): State {
  const worker = find(state, event.id)
  if (!worker) return state
  const gone = { ...state, workers: state.workers.filter((other) => other !== worker) }
  if (worker.status === 'draining' || worker.killed === 'unwanted' || state.phase === 'draining') return gone
  const before = state.slots[worker.slot]?.failures ?? 0
  const stable = worker.status === 'ready' && now - worker.since >= limits.stableMs
  const failures = stable ? 1 : before + 1
  const { firstMs, maxMs } = limits.backoff
  // The first failure costs no wait: the port should not be a worker short because of one crash.
  const wait = failures === 1 ? 0 : Math.min(firstMs * 2 ** (failures - 2), maxMs) * (0.5 + event.random / 2)
  const reason: RestartReason = worker.status === 'ready' ? 'crash' : worker.killed ? 'boot-timeout' : 'boot-failure'
  const counted = {
    ...gone,
    slots: { ...state.slots, [worker.slot]: { failures, notBefore: now + wait } },
    restarts: { ...state.restarts, [reason]: state.restarts[reason] + 1 }
  }
  if (worker.status === 'ready') return counted
  return failBoot(
    counted,
    worker,
    worker.killed
      ? `worker ${worker.slot} was not ready in ${limits.bootMs} ms`
      : `worker ${worker.slot} ended before it was ready (${event.how})`
  )
}

/** A worker that did not boot ends the roll it belongs to; before the service ever served, it counts against the start. */
function failBoot(state: State, worker: Worker | undefined, why: string, final = false): State {
  if (!worker) return state
  const roll =
    state.roll && worker.generation === state.roll.generation
      ? { ...state.roll, failure: state.roll.failure ?? why }
      : state.roll
  const known = state.bootFailures
  const workers = state.workers.map((one) => (one === worker ? { ...worker, failed: true as const } : one))
  const bootFailures = { count: known.count + 1, final: known.final || final, why: known.final ? known.why : why }
  return { ...state, workers, ...(roll && { roll }), ...(!state.everReady && { bootFailures }) }
}

const firstFor = (actions: Action[], id: number) => actions.findIndex((action) => 'id' in action && action.id === id)
const find = (state: State, id: number) => state.workers.find((worker) => worker.id === id)
const slotsOf = (state: State) => Array.from({ length: state.desired }, (_, slot) => slot)
const liveIn = (state: State, slot: number) =>
  state.workers.filter((worker) => worker.slot === slot && worker.status !== 'draining')
const mayFork = (state: State, slot: number, now: number) => now >= (state.slots[slot]?.notBefore ?? 0)
const deadlineOf = (worker: Worker, limits: Limits) =>
  worker.status === 'ready'
    ? Number.POSITIVE_INFINITY
    : worker.since + (worker.status === 'starting' ? limits.bootMs : limits.drainMs)

function update(
  state: State,
  id: number,
  change: (worker: Worker) => Partial<Worker> | false,
  also: Partial<State> = {}
): State {
  const changed = state.workers.map((worker) => {
    const patch = worker.id === id && change(worker)
    return patch ? { ...worker, ...patch } : worker
  })
  return changed.some((worker, i) => worker !== state.workers[i]) ? { ...state, ...also, workers: changed } : state
}
