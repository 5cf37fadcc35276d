import {
  type Event,
  find,
  type HeartbeatSample,
  type Limits,
  type RestartReason,
  type State,
  spread,
  type Worker
} from './types.ts'

/** What an event makes of the state: pure. An event about a worker that is not there changes nothing. */
export function reduce(state: State, event: Event, now: number, limits: Limits): State {
  switch (event.type) {
    case 'forked': {
      const { type: _, ...worker } = event
      const born: Worker = { ...worker, status: 'starting', since: now, heardAt: now, overMemory: 0 }
      return { ...state, workers: [...state.workers, born] }
    }
    case 'ready':
      return update(
        state,
        event.id,
        (worker) => worker.status === 'starting' && { status: 'ready', since: now, heardAt: now },
        { everReady: true }
      )
    case 'beat':
      return update(state, event.id, (worker) => worker.status === 'ready' && heard(worker, event, limits, now))
    case 'examined':
      return update(state, event.id, () => ({ examinedAt: now, ...(event.wedged && { lost: { reason: 'hang' } }) }))
    case 'hung':
      return update(
        state,
        event.id,
        (worker) => worker.lost !== undefined && { lost: { ...worker.lost, why: event.why } }
      )
    case 'misused':
      return update(state, event.id, () => ({ lost: { reason: 'crash', why: event.why } }))
    case 'drain-sent':
      return drained(state, event, now, limits)
    case 'kill-sent':
      return update(state, event.id, () => ({ killed: event.reason }))
    case 'boot-failed':
      return failBoot(state, find(state, event.id), event.why, true)
    case 'exit':
      return exited(state, event, now, limits)
    case 'fork-failed': {
      const { slot, generation, how, random } = event
      const counted = failed(state, slot, 'boot-failure', { stable: false, random }, now, limits)
      return failBoot(counted, { slot, generation }, `worker ${slot} could not be forked (${how})`)
    }
    case 'fork-deferred': {
      const slot = state.slots[event.slot] ?? { failures: 0, reason: 'crash' }
      return { ...state, slots: { ...state.slots, [event.slot]: { ...slot, notBefore: now + event.ms } } }
    }
    case 'recycle':
      return update(
        state,
        event.id,
        (worker) =>
          worker.status === 'ready' && { retire: 'asked', ...(event.snapshot && { snapshot: event.snapshot }) }
      )
    case 'errand':
      return update(state, event.id, (worker) => {
        const pendingAdminRequests = (worker.pendingAdminRequests ?? 0) + event.change
        // What is left of it is to leave within a drain's time from here.
        return { pendingAdminRequests, ...(pendingAdminRequests === 0 && worker.drained && { since: now }) }
      })
    case 'emptied':
      return update(state, event.id, (worker) => worker.status === 'draining' && { drained: true })
    case 'reload':
      if (state.phase !== 'running') return state
      return state.rollout ? { ...state, rolloutRequested: true } : startRoll(state)
    case 'roll-failed':
      return state.rollout ? { ...state, rollout: { failure: event.why, ...state.rollout } } : state
    case 'release-gone':
      return { ...state, releaseGone: true }
    case 'roll-ended':
      return endRoll(state)
    case 'scale':
      return { ...state, desired: event.desired }
    case 'stop':
      return state.phase === 'running' ? { ...state, phase: 'lame' } : state
    case 'port-closed':
      return { ...state, phase: 'draining' }
  }
}

function heard(worker: Worker, { rssBytes, requests }: HeartbeatSample, limits: Limits, now: number): Partial<Worker> {
  const { maxMemoryBytes, memorySamples, maxRequests } = limits
  const overMemory = maxMemoryBytes > 0 && rssBytes > maxMemoryBytes ? worker.overMemory + 1 : 0
  const retire =
    worker.retire ??
    (overMemory >= memorySamples
      ? 'memory'
      : maxRequests > 0 && requests >= spread(maxRequests, worker)
        ? 'requests'
        : undefined)
  return { heardAt: now, overMemory, ...(retire && { retire }) }
}

/** A worker that is recycled soon after it became ready counts as a failure of its slot, so that its successor waits. */
function drained(state: State, event: Extract<Event, { type: 'drain-sent' }>, now: number, limits: Limits): State {
  const worker = find(state, event.id)
  if (!worker || worker.status === 'draining') return state
  const next = update(state, event.id, () => ({ status: 'draining', since: now }))
  const pause = { stable: now - worker.since >= limits.stableMs, random: 0 }
  return event.recycled ? failed(next, worker.slot, event.recycled, pause, now, limits) : next
}

function exited(state: State, event: Extract<Event, { type: 'exit' }>, now: number, limits: Limits): State {
  const worker = find(state, event.id)
  if (!worker) return state
  const gone = { ...state, workers: state.workers.filter((other) => other !== worker) }
  if (worker.status === 'draining' || worker.killed === 'unwanted' || state.phase === 'draining') return gone
  const served = worker.status === 'ready'
  const reason: RestartReason =
    worker.lost?.reason ?? (event.oom ? 'oom' : served ? 'crash' : worker.killed ? 'boot-timeout' : 'boot-failure')
  const stable = served && now - worker.since >= limits.stableMs
  const counted = failed(gone, worker.slot, reason, { stable, random: event.random }, now, limits)
  if (served) return failRoll(counted, worker, `worker ${worker.slot} of it did not last (${event.how})`)
  const why =
    worker.killed === 'late'
      ? `worker ${worker.slot} was not ready in ${limits.bootMs} ms`
      : `worker ${worker.slot} ended before it was ready (${event.how})`
  return failBoot(counted, worker, why)
}

/** Counts a failure of a slot and sets its pause. The first costs none: the port should not be a worker short because of one crash. */
function failed(
  state: State,
  slot: number,
  reason: RestartReason,
  { stable, random }: { stable: boolean; random: number },
  now: number,
  { backoff }: Limits
): State {
  const failures = stable ? 1 : (state.slots[slot]?.failures ?? 0) + 1
  const nominal = failures === 1 ? 0 : Math.min(backoff.firstMs * 2 ** (failures - 2), backoff.maxMs)
  const notBefore = now + nominal * (0.5 + random / 2)
  return {
    ...state,
    slots: { ...state.slots, [slot]: { failures, notBefore, reason } },
    restarts: { ...state.restarts, [reason]: state.restarts[reason] + 1 }
  }
}

/** A worker that did not boot ends the roll it belongs to; before the service ever served, it counts against the start. */
function failBoot(
  state: State,
  worker: Pick<Worker, 'slot' | 'generation'> | undefined,
  why: string,
  final = false
): State {
  if (!worker) return state
  const { rollout, bootFailures: known } = state
  if (!final && rollout?.failure !== undefined && worker.generation === state.generation) {
    return { ...state, rollout: { ...rollout, backFailures: (rollout.backFailures ?? 0) + 1 } }
  }
  const bootFailures = { count: known.count + 1, final: known.final || final, why: known.final ? known.why : why }
  const marked = {
    ...failRoll(state, worker, why),
    workers: state.workers.map((one) => (one === worker ? { ...one, failed: true as const } : one))
  }
  return state.everReady ? marked : { ...marked, bootFailures }
}

/** A new release whose worker fails while it is rolled out is a bad one. */
function failRoll(state: State, worker: Pick<Worker, 'generation'>, why: string): State {
  const { rollout } = state
  return rollout && worker.generation === rollout.generation
    ? { ...state, rollout: { failure: why, ...rollout } }
    : state
}

function startRoll(state: State): State {
  const generation = state.lastGeneration + 1
  return { ...state, lastGeneration: generation, rollout: { generation }, rolloutRequested: false }
}

function endRoll(state: State): State {
  if (!state.rollout) return state
  const { rollout, rolloutRequested, ...rest } = state
  const running = state.phase === 'running'
  const ended: State = { ...rest, rolloutRequested: false }
  const next: State =
    rollout.failure === undefined && running ? { ...ended, generation: rollout.generation, releaseGone: false } : ended
  return rolloutRequested && running ? startRoll(next) : next
}

function update(
  state: State,
  id: number,
  change: (worker: Worker) => Partial<Worker> | false,
  also: Partial<State> = {}
): State {
  const worker = find(state, id)
  const patch = worker && change(worker)
  if (!patch) return state
  return { ...state, ...also, workers: state.workers.map((one) => (one === worker ? { ...one, ...patch } : one)) }
}
