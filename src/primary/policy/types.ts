/**
 * What the primary knows about its workers, and the helpers that read it. `reduce.ts` computes the next state from an event,
 * `plan.ts` computes the actions that follow from a state. Times are ms of the supervisor's clock, which stops while the
 * primary itself does not run. `reason` is always one of a fixed set of words; `cause` is text for people.
 */

import type { Limits } from './policy-limits.ts'
import type { ReloadRequest, Trial } from './trial-types.ts'

export type Status = 'starting' | 'ready' | 'draining'

/** Why a worker was started in place of another one; the label of the restart counter. */
export const RESTART_REASONS = [
  'crash',
  'oom',
  'hang',
  'boot-failure',
  'boot-timeout',
  'memory',
  'requests',
  'age',
  'asked'
] as const
export type RestartReason = (typeof RESTART_REASONS)[number]
/** Why a worker that still serves is replaced. Its successor is ready before it leaves. */
export type RecycleReason = 'memory' | 'requests' | 'age' | 'asked'
export type KillReason = 'late' | 'lost' | 'unwanted'

export interface Worker {
  id: number
  pid: number
  slot: number
  generation: number
  status: Status
  /** When the worker entered its status. */
  since: number
  /** In [0, 1). Spreads the limits of requests and age, so that workers started together do not end together. */
  jitter: number
  /** When the worker became ready or its last heartbeat arrived. */
  lastHeartbeatAt: number
  /** When the worker was last examined because it was silent. */
  examinedAt?: number
  /**
   * The worker hangs or violated the protocol. It no longer counts as live. It is killed once `cause` is set, which for a
   * hang is after the hang report was written.
   */
  lost?: { reason: 'hang' | 'crash'; cause?: string }
  /** Heartbeats in a row that reported more memory than allowed. */
  samplesOverMemory: number
  /** Why a new worker is to replace this one. Age is not stored here: see {@link recycleReasonOf}. */
  recycle?: RecycleReason
  /** SIGKILL has been sent; the exit has not been reported yet. */
  killed?: KillReason
  /** The worker has reported that it cannot boot, and is about to exit. */
  bootFailed?: true
  /** Path of the heap snapshot that the worker writes after it has drained. */
  snapshot?: string
  /** Admin commands that came through this worker and are not answered yet. */
  pendingAdminRequests?: number
  /** The worker has drained. It stays only for clients that wait for the answer to an admin command. */
  drained?: true
  /** The draining worker transfers its connections instead of closing them. */
  transfers?: boolean
  /** The draining worker has only connections left that are busy or that no worker takes. It stays until they end, and nothing waits for it. */
  lingers?: true
  /** The worker was told to cut at this time what it has left then. */
  cutAt?: number
  /** Bytes of resident memory, by the last heartbeat. */
  rssBytes?: number
  /** The worker was started to compare a canary with it. */
  control?: true
}

/** The slots that this primary is in charge of while it replaces another one, or is replaced: those from `from` to below `to`. */
export interface Share {
  from: number
  to: number
  /** This primary replaces another one, and is not in charge of the service yet. */
  isCandidate?: true
  /** Why a worker of the candidate failed: it starts no more workers. */
  failure?: string
  /** The other primary cannot serve the connections of this one: they are closed in order, and lingering requests may end. */
  isIsolated?: true
}

/** The failures of one slot. */
export interface Slot {
  /** Failures in a row. A failure after a stable time starts the count again at 1. */
  failures: number
  /** The slot's next worker may be forked from this time on. */
  notBefore: number
  /** The reason of the last failure. Undefined: there was none, only its fork was deferred. */
  reason?: RestartReason
}

/** The rollout in progress. With a `failure` it is being rolled back. */
export interface RolloutState {
  generation: number
  request: ReloadRequest
  failure?: string
  /** Boots of the old release that failed in the rollback. A process that could not be created is none. */
  rollbackFailures?: number
  /** A worker could not be started in the rollback: each further one waits for the pause of its slot. */
  rollbackWaits?: true
  /** Its canary is being judged. */
  trial?: Trial | undefined
  /** Its canary needs no trial any more. `promoted`: an operator said so, and it need not last for the canary time either. */
  verdict?: 'passed' | 'promoted'
}

export interface State {
  phase: 'running' | 'lame-duck' | 'draining'
  /** Number of workers wanted. */
  desired: number
  /** Why the load asked for that number; undefined when an operator did. */
  scaleCause?: string | undefined
  /** The generation that serves. Replacements are forked with it. */
  generation: number
  lastGeneration: number
  /** The release of `generation` is no longer on disk, so a rollback to it is impossible. */
  releaseMissing: boolean
  workers: readonly Worker[]
  slots: Readonly<Record<number, Slot>>
  rollout?: RolloutState | undefined
  /** A reload was requested during a rollout: another rollout follows. */
  rolloutRequested?: ReloadRequest | undefined
  /** Set while another primary is in charge of some slots. */
  share?: Share | undefined
  everReady: boolean
  /** Boot failures in a row while no worker has ever been ready. `final`: another try would fail in the same way. */
  bootFailures: { count: number; final: boolean; cause: string }
  restarts: Readonly<Record<RestartReason, number>>
}

/** The part of a heartbeat that matters for decisions. */
export interface HeartbeatSample {
  rssBytes: number
  /** Requests received since the worker started. */
  requests: number
}

export type Event =
  | { type: 'forked'; id: number; pid: number; slot: number; generation: number; jitter: number; control?: true }
  | { type: 'ready'; id: number }
  | { type: 'drain-sent'; id: number; transfer: boolean; recycled?: RecycleReason | undefined }
  /** A draining worker has only busy connections left. */
  | { type: 'settled'; id: number }
  /** A draining worker was told to cut what it has left in `deadlineMs`. */
  | { type: 'finish-sent'; id: number; transfer: boolean; deadlineMs: number }
  | ({ type: 'heartbeat'; id: number } & HeartbeatSample)
  /** A silent worker was examined. */
  | { type: 'examined'; id: number; hung: boolean }
  /** The hang report of a hung worker is complete: the worker may be killed. */
  | { type: 'hang-reported'; id: number; cause: string }
  /** The worker wrote garbage to its channel, or flooded it. */
  | { type: 'protocol-violation'; id: number; cause: string }
  | { type: 'kill-sent'; id: number; reason: KillReason }
  /** The worker reports that it cannot boot. Another try would fail in the same way. */
  | { type: 'boot-failed'; id: number; cause: string }
  /** `random` in [0, 1) is the jitter of the backoff. */
  | { type: 'exit'; id: number; cause: string; random: number; oom?: boolean }
  /** The process could not be created. */
  | { type: 'fork-failed'; slot: number; generation: number; cause: string; random: number }
  /** The code on disk is changing: the slot waits `ms`. */
  | { type: 'fork-deferred'; slot: number; ms: number }
  /** An operator asks for a replacement. `snapshot` is the path of the heap snapshot to write after the drain. */
  | { type: 'recycle'; id: number; snapshot?: string }
  /** An admin command came through the worker (+1), or was answered (-1). */
  | { type: 'admin-request'; id: number; change: 1 | -1 }
  | { type: 'drained'; id: number }
  | { type: 'rollout-failed'; cause: string }
  | { type: 'reload'; request?: ReloadRequest }
  /** There is traffic to judge the canary by. */
  | ({ type: 'trial-begins' } & Pick<Trial, 'wantsControl' | 'share' | 'maxMs' | 'undecided'>)
  /** The control could not be started. */
  | { type: 'control-failed'; cause: string }
  | { type: 'trial-ended'; outcome: 'no worse' | 'worse' | 'undecided'; cause: string }
  /** An operator wants the rollout to go on without a verdict. */
  | { type: 'promote' }
  | { type: 'release-missing' | 'rollout-ended' | 'stop' | 'port-closed' }
  /** `cause`: why the load asks for another number; undefined when an operator does. */
  | { type: 'scale'; desired: number; cause?: string }
  /** Another primary begins or ends to be in charge of some slots; undefined: this one is in charge of all. */
  | { type: 'share'; share: Share | undefined }
  /** Another primary used this generation. */
  | { type: 'generation-used'; generation: number }

export type Action =
  | { type: 'fork'; slot: number; generation: number; cause: string; control?: true }
  /** `isIsolated`: nothing is transferred, although other processes serve. */
  | { type: 'drain'; id: number; transfer: boolean; cause: string; recycled?: RecycleReason; isIsolated?: true }
  /** Limits the time of a worker that drains already, and with `transfer: false` ends its transfers. */
  | { type: 'finish'; id: number; transfer: boolean; deadlineMs: number; cause: string }
  | { type: 'examine'; id: number }
  /** The time of the trial is over. */
  | { type: 'end-trial' }
  | { type: 'kill'; id: number; reason: KillReason; cause: string }
  | { type: 'end-rollout'; outcome: 'done' | 'failed' | 'stopped'; generation: number; cause?: string }
  | { type: 'exit'; code: 'drained' | 'cannot-boot' | 'crash-loop'; cause: string }
export type ActionOf<T extends Action['type']> = Extract<Action, { type: T }>
export type EventOf<T extends Event['type']> = Extract<Event, { type: T }>

/** @param share set when the primary begins as the successor of another one */
export function initialState(desired: number, generation = 1, share?: Share): State {
  return {
    phase: 'running',
    desired,
    generation,
    lastGeneration: generation,
    releaseMissing: false,
    ...(share && { share }),
    workers: [],
    slots: {},
    everReady: false,
    bootFailures: { count: 0, final: false, cause: '' },
    restarts: Object.fromEntries(RESTART_REASONS.map((reason) => [reason, 0])) as Record<RestartReason, number>
  }
}

export const findWorker = (state: State, id: number) => state.workers.find((worker) => worker.id === id)

/** The slots that are wanted, and that this primary is in charge of. */
export const slotsOf = (state: State) =>
  Array.from({ length: state.desired }, (_, slot) => slot).filter((slot) => isInCharge(state, slot))

export const isInCharge = ({ share }: State, slot: number) => !share || (slot >= share.from && slot < share.to)

/** Whether the worker serves or will serve: it neither leaves nor hangs. */
export const isLive = (worker: Worker) => worker.status !== 'draining' && !worker.lost
export const serves = (worker: Worker) => worker.status === 'ready' && isLive(worker)
/** Whether the worker stays only to pass on the answer of a command. That may be the command that replaces it: nothing waits for it. */
export const isAnsweringAdminRequest = (worker: Worker) =>
  worker.drained === true && (worker.pendingAdminRequests ?? 0) > 0
/** Whether the worker has nothing left to do but what its clients still wait for. */
export const lingers = ({ lingers, drained, killed, lost }: Worker) => lingers === true && !drained && !killed && !lost
/** Whether a rollout, a command or another slot waits until the leaving worker has exited. */
export const isWaitedFor = (worker: Worker) => !worker.lingers && !isAnsweringAdminRequest(worker)
export const liveIn = (state: State, slot: number) =>
  state.workers.filter((worker) => worker.slot === slot && isLive(worker))

/** Whether a slot that no worker serves has failed so often in a row that the service is not healthy. */
export const isDegraded = (state: State, limits: Pick<Limits, 'slotAttempts'>) =>
  slotsOf(state).some(
    (slot) => (state.slots[slot]?.failures ?? 0) >= limits.slotAttempts / 2 && !liveIn(state, slot).some(serves)
  )

/** @returns why the worker is to be recycled; undefined if it is not */
export function recycleReasonOf(worker: Worker, limits: Limits, now: number): RecycleReason | undefined {
  if (worker.recycle) return worker.recycle
  return worker.status === 'ready' && now >= maxAgeAt(worker, limits) ? 'age' : undefined
}

/** A limit of requests or age, up to a tenth larger for each worker. */
export const withJitter = (limit: number, worker: Worker) => limit * (1 + worker.jitter / 10)
/** @returns when the worker reaches its maximal age; infinity without a limit */
export const maxAgeAt = (worker: Worker, limits: Limits) =>
  limits.maxAgeMs > 0 ? worker.since + withJitter(limits.maxAgeMs, worker) : Number.POSITIVE_INFINITY
