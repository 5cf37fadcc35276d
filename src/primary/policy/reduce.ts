import type { Limits } from './policy-limits.ts'
import { beginTrial, controlLost, endTrial, failRollout, isOnTrial, promote, startTrial } from './reduce-trial.ts'
import type { ReloadRequest } from './trial-types.ts'
import {
  type Event,
  type EventOf,
  findWorker,
  type HeartbeatSample,
  type RecycleReason,
  type RestartReason,
  type State,
  type Worker,
  withJitter
} from './types.ts'

/** Computes the next state. Pure. An event about a worker that no longer exists changes nothing. */
export function reduce(state: State, event: Event, now: number, limits: Limits): State {
  switch (event.type) {
    case 'forked': {
      const { type: _, ...worker } = event
      const forked: Worker = { ...worker, status: 'starting', since: now, lastHeartbeatAt: now, samplesOverMemory: 0 }
      const next = { ...state, workers: [...state.workers, forked] }
      const { rollout } = next
      if (!event.control || !rollout?.trial) return next
      return { ...next, rollout: { ...rollout, trial: { ...rollout.trial, control: event.id } } }
    }
    case 'ready': {
      const next = update(
        state,
        event.id,
        (worker) => worker.status === 'starting' && { status: 'ready', since: now, lastHeartbeatAt: now },
        { everReady: true }
      )
      return state.rollout?.trial?.control === event.id ? startTrial(next, now) : next
    }
    case 'heartbeat': {
      const next = update(
        state,
        event.id,
        (worker) => worker.status !== 'starting' && recordHeartbeat(worker, event, limits, now)
      )
      const { recycle } = findWorker(next, event.id) ?? {}
      const isTooLarge = isOnTrial(next) && next.rollout.trial.canary === event.id && recycle === 'memory'
      return isTooLarge ? failRollout(next, 'its first worker needs more than MAX_MEMORY') : next
    }
    case 'examined':
      return update(state, event.id, () => ({ examinedAt: now, ...(event.hung && { lost: { reason: 'hang' } }) }))
    case 'hang-reported':
      return update(
        state,
        event.id,
        (worker) => worker.lost !== undefined && { lost: { ...worker.lost, cause: event.cause } }
      )
    case 'protocol-violation':
      return update(state, event.id, () => ({ lost: { reason: 'crash', cause: event.cause } }))
    case 'drain-sent':
      return startDrain(state, event, now, limits)
    case 'kill-sent':
      return update(state, event.id, () => ({ killed: event.reason }))
    case 'boot-failed': {
      const worker = findWorker(state, event.id)
      return failBoot(worker ? holdSlot(state, worker.slot, limits) : state, worker, event.cause, true)
    }
    case 'exit':
      return removeWorker(state, event, now, limits)
    case 'fork-failed': {
      const { slot, generation, cause, random } = event
      const counted = countFailure(state, slot, 'boot-failure', { stable: false, random }, now, limits)
      return failBoot(counted, { slot, generation }, `worker ${slot} could not be forked (${cause})`)
    }
    case 'fork-deferred': {
      const slot = state.slots[event.slot] ?? { failures: 0 }
      return { ...state, slots: { ...state.slots, [event.slot]: { ...slot, notBefore: now + event.ms } } }
    }
    case 'recycle':
      return update(
        state,
        event.id,
        (worker) =>
          worker.status === 'ready' && { recycle: 'asked', ...(event.snapshot && { snapshot: event.snapshot }) }
      )
    case 'admin-request':
      return update(state, event.id, (worker) => {
        const pendingAdminRequests = (worker.pendingAdminRequests ?? 0) + event.change
        // After the last answer, a drained worker has the time of one drain to exit.
        return { pendingAdminRequests, ...(worker.drained && { since: now }) }
      })
    case 'settled':
      return update(
        state,
        event.id,
        (worker) => worker.status === 'draining' && !worker.drained && { lingers: true, lastHeartbeatAt: now }
      )
    case 'finish-sent':
      return update(state, event.id, () => ({ transfers: event.transfer, cutAt: now + event.deadlineMs }))
    case 'drained':
      return update(
        state,
        event.id,
        // A worker that lingered has the time of one drain to exit.
        (worker) => worker.status === 'draining' && { drained: true, ...(worker.lingers && { since: now }) }
      )
    case 'reload': {
      const { request = {} } = event
      if (state.phase !== 'running') return state
      if (!state.rollout) return startRollout(state, request, limits)
      const next = { ...state, rolloutRequested: request }
      return state.rollout.trial?.held ? failRollout(next, 'another reload was requested') : next
    }
    case 'rollout-failed':
      return failRollout(state, event.cause)
    case 'trial-begins':
      return beginTrial(state, event, now)
    case 'control-failed':
      return state.rollout?.trial?.control === undefined ? controlLost(state, event.cause, now) : state
    case 'trial-ended':
      return endTrial(state, event)
    case 'promote':
      return promote(state)
    case 'release-missing':
      return { ...state, releaseMissing: true }
    case 'rollout-ended':
      return endRollout(state, limits)
    case 'scale':
      return { ...state, desired: event.desired, scaleCause: event.cause }
    case 'share':
      return { ...state, share: event.share }
    case 'generation-used':
      return { ...state, lastGeneration: Math.max(state.lastGeneration, event.generation) }
    case 'stop':
      return state.phase === 'running' ? { ...state, phase: 'lame-duck' } : state
    case 'port-closed':
      return { ...state, phase: 'draining' }
  }
}

function recordHeartbeat(worker: Worker, sample: HeartbeatSample, limits: Limits, now: number): Partial<Worker> {
  const { rssBytes } = sample
  if (worker.status === 'draining') return { lastHeartbeatAt: now, rssBytes }
  const { maxMemoryBytes } = limits
  const isOver = maxMemoryBytes > 0 && rssBytes > maxMemoryBytes
  const samplesOverMemory = isOver ? worker.samplesOverMemory + 1 : 0
  const recycle = worker.recycle ?? limitExceeded(worker, samplesOverMemory, sample.requests, limits)
  return { lastHeartbeatAt: now, rssBytes, samplesOverMemory, ...(recycle && { recycle }) }
}

function limitExceeded(
  worker: Worker,
  samplesOverMemory: number,
  requests: number,
  { memorySamples, maxRequests }: Limits
): RecycleReason | undefined {
  if (samplesOverMemory >= memorySamples) return 'memory'
  return maxRequests > 0 && requests >= withJitter(maxRequests, worker) ? 'requests' : undefined
}

/** A worker that is recycled soon after it became ready counts as a failure of its slot, so that its successor waits. */
function startDrain(state: State, event: EventOf<'drain-sent'>, now: number, limits: Limits): State {
  const worker = findWorker(state, event.id)
  if (!worker || worker.status === 'draining') return state
  const next = update(state, event.id, () => ({ status: 'draining', since: now, transfers: event.transfer }))
  const timing = { stable: now - worker.since >= limits.stableMs, random: 0 }
  return event.recycled ? countFailure(next, worker.slot, event.recycled, timing, now, limits) : next
}

function removeWorker(state: State, event: EventOf<'exit'>, now: number, limits: Limits): State {
  const worker = findWorker(state, event.id)
  if (!worker) return state
  const next = { ...state, workers: state.workers.filter((other) => other !== worker) }
  if (state.rollout?.trial?.control === worker.id) return controlLost(next, event.cause, now)
  if (worker.status === 'draining' || worker.killed === 'unwanted' || state.phase === 'draining') return next
  const served = worker.status === 'ready'
  const stable = served && now - worker.since >= limits.stableMs
  const reason = restartReasonOf(worker, event)
  const counted = countFailure(next, worker.slot, reason, { stable, random: event.random }, now, limits)
  if (served) return failRolloutOf(counted, worker, `worker ${worker.slot} of it did not last (${event.cause})`)
  const cause =
    worker.killed === 'late'
      ? `worker ${worker.slot} was not ready in ${limits.bootMs} ms`
      : `worker ${worker.slot} ended before it was ready (${event.cause})`
  return failBoot(counted, worker, cause)
}

function restartReasonOf({ lost, status, killed }: Worker, { oom }: EventOf<'exit'>): RestartReason {
  if (lost) return lost.reason
  if (oom) return 'oom'
  if (status === 'ready') return 'crash'
  return killed ? 'boot-timeout' : 'boot-failure'
}

/**
 * Counts a failure of a slot and sets its pause. The first failure costs no pause: one crash should not leave the service
 * a worker short.
 */
function countFailure(
  state: State,
  slot: number,
  reason: RestartReason,
  { stable, random }: { stable: boolean; random: number },
  now: number,
  { backoff, waitsForReload }: Limits
): State {
  const failures = stable ? 1 : (state.slots[slot]?.failures ?? 0) + 1
  const nominal = failures === 1 ? 0 : Math.min(backoff.firstMs * 2 ** (failures - 2), backoff.maxMs)
  const isHeld = waitsForReload && reason.startsWith('boot')
  const notBefore = isHeld ? Number.POSITIVE_INFINITY : now + nominal * (0.5 + random / 2)
  return {
    ...state,
    slots: { ...state.slots, [slot]: { failures, notBefore, reason } },
    restarts: { ...state.restarts, [reason]: state.restarts[reason] + 1 }
  }
}

/** Where a worker that cannot boot is not tried again by itself, its slot waits for the next reload. */
function holdSlot(state: State, slot: number, { waitsForReload }: Limits): State {
  if (!waitsForReload) return state
  const { failures = 0 } = state.slots[slot] ?? {}
  return {
    ...state,
    slots: { ...state.slots, [slot]: { failures, notBefore: Number.POSITIVE_INFINITY, reason: 'boot-failure' } }
  }
}

/** Records that a worker did not boot: its rollout fails; before any worker was ever ready, it counts against the start. */
function failBoot(
  state: State,
  worker: (Pick<Worker, 'slot' | 'generation'> & Partial<Pick<Worker, 'pid'>>) | undefined,
  cause: string,
  final = false
): State {
  if (!worker) return state
  const { rollout, bootFailures: before } = state
  if (!final && rollout?.failure !== undefined && worker.generation === state.generation) {
    // Without a process, nothing is known about the release: forks are tried until they succeed.
    const rollbackFailures = (rollout.rollbackFailures ?? 0) + (worker.pid ? 1 : 0)
    return { ...state, rollout: { ...rollout, rollbackFailures, rollbackWaits: true } }
  }
  const bootFailures = {
    count: before.count + 1,
    final: before.final || final,
    cause: before.final ? before.cause : cause
  }
  const next = {
    ...failRolloutOf(state, worker, cause),
    workers: state.workers.map((other) => (other === worker ? { ...other, bootFailed: true as const } : other))
  }
  return state.everReady ? next : { ...next, bootFailures }
}

/** Fails the rollout if the worker belongs to the new release, and the candidate whose worker it is. */
function failRolloutOf(state: State, worker: Pick<Worker, 'generation'>, cause: string): State {
  if (state.share?.isCandidate) return { ...state, share: { failure: cause, ...state.share } }
  return worker.generation === state.rollout?.generation ? failRollout(state, cause) : state
}

function startRollout(state: State, request: ReloadRequest, { waitsForReload }: Limits): State {
  const generation = state.lastGeneration + 1
  const slots = waitsForReload ? {} : state.slots
  return { ...state, slots, lastGeneration: generation, rollout: { generation, request } }
}

function endRollout(state: State, limits: Limits): State {
  if (!state.rollout) return state
  const { rollout, rolloutRequested, ...rest } = state
  const running = state.phase === 'running'
  const ended: State = rest
  const succeeded = rollout.failure === undefined && running
  const next = succeeded ? { ...ended, generation: rollout.generation, releaseMissing: false } : ended
  return rolloutRequested && running ? startRollout(next, rolloutRequested, limits) : next
}

/**
 * @param change returns the changed fields of the worker; false: nothing changes
 * @param also fields of the state that change together with the worker
 */
function update(
  state: State,
  id: number,
  change: (worker: Worker) => Partial<Worker> | false,
  also: Partial<State> = {}
): State {
  const worker = findWorker(state, id)
  const patch = worker && change(worker)
  if (!patch) return state
  return {
    ...state,
    ...also,
    workers: state.workers.map((other) => (other === worker ? { ...other, ...patch } : other))
  }
}
