/**
 * What the primary knows of its workers. Nothing here does anything: `apply.ts` says what an event makes of it, `plan.ts`
 * what follows from it. Times are ms of the supervisor's clock, which stands still while the primary itself does.
 */

export type Status = 'starting' | 'ready' | 'draining'

/** Why a worker was started in place of another; the label of the restart counter. */
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
/** A worker that serves well enough, and is replaced all the same: a new one first. */
export type RecycleReason = 'memory' | 'requests' | 'age' | 'asked'

export interface Worker {
  id: number
  pid: number
  slot: number
  generation: number
  status: Status
  /** When it entered its status. */
  since: number
  /** In [0, 1): spreads its limits of requests and age, so that workers born together do not end together. */
  jitter: number
  /** When it became ready or its last heartbeat came. */
  heardAt: number
  /** Silent for too long, it was looked at then. */
  examinedAt?: number
  /** Found to hang, or to misuse its channel: it counts as gone, and is killed when its black box is closed, with the `why`. */
  lost?: { reason: 'hang' | 'crash'; why?: string }
  /** Heartbeats in a row that reported more memory than allowed. */
  overMemory: number
  /** A new worker is to take its place. What age asks for is not in here: see `recycling`. */
  retire?: RecycleReason
  /** SIGKILL has been sent, because it was late or lost, or because it is not wanted any more; the exit is on its way. */
  killed?: KillReason
  /** It has said that it cannot boot, and is leaving. */
  failed?: true
  /** Where it writes a heap snapshot when it has drained. */
  snapshot?: string
  /** Commands that came through it and are not answered. */
  pendingAdminRequests?: number
  /** It has drained: it serves nobody any more, but for who waits there for the answer to a command. */
  drained?: true
}
export type KillReason = 'late' | 'lost' | 'unwanted'

export interface Slot {
  /** Failures in a row, none of which came after a stable time. */
  failures: number
  /** The next fork may be then. */
  notBefore: number
  /** What the last failure was. */
  reason: RestartReason
}

export interface State {
  phase: 'running' | 'lame' | 'draining'
  desired: number
  /** The generation that serves; a replacement is forked with it. */
  generation: number
  lastGeneration: number
  /** The release of `generation` is no longer on disk: there is no way back to it. */
  releaseGone: boolean
  workers: readonly Worker[]
  slots: Readonly<Record<number, Slot>>
  /** The one rolling restart under way; with a `failure` it is on its way back, which may fail `backFailures` times. */
  rollout?: { generation: number; failure?: string; backFailures?: number } | undefined
  /** A reload was asked for during a roll: another roll follows. */
  rolloutRequested: boolean
  everReady: boolean
  /** Boot failures in a row while no worker has ever been ready. */
  bootFailures: { count: number; final: boolean; why: string }
  restarts: Readonly<Record<RestartReason, number>>
}

/** All durations in ms; 0 switches off what is marked so. */
export interface Limits {
  bootMs: number
  /** Deadline of a drain, the worker's own plus what it needs to say so. */
  drainMs: number
  /** A ready worker that is silent for so long is looked at. 0: never. */
  heartbeatMs: number
  /** A silent worker that may only be starved is looked at again after this. */
  lookAgainMs: number
  /** The first worker of a new release serves for so long beside the old one before that leaves. */
  canaryMs: number
  /** A worker that was ready for so long is stable: its failure is its slot's first again. */
  stableMs: number
  backoff: { firstMs: number; maxMs: number }
  /** Give up when so many workers failed to boot and none was ever ready. */
  bootAttempts: number
  /** Give up when every slot failed so often in a row and none serves. */
  slotAttempts: number
  /** A worker that writes a heap snapshot gets so much longer to leave. */
  snapshotMs: number
  /** Bytes of resident memory. 0: any. */
  maxMemoryBytes: number
  /** So many heartbeats in a row must be over it. */
  memorySamples: number
  /** 0: any. */
  maxRequests: number
  /** 0: any. */
  maxAgeMs: number
}

export const LIMITS = {
  lookAgainMs: 250,
  canaryMs: 1000,
  stableMs: 30_000,
  backoff: { firstMs: 100, maxMs: 30_000 },
  bootAttempts: 3,
  slotAttempts: 10,
  snapshotMs: 120_000,
  memorySamples: 3
} as const

/** What a heartbeat says that matters for a decision. */
export interface HeartbeatSample {
  rssBytes: number
  requests: number
}

export type Event =
  | { type: 'forked'; id: number; pid: number; slot: number; generation: number; jitter: number }
  | { type: 'ready'; id: number }
  | { type: 'drain-sent'; id: number; recycled?: RecycleReason | undefined }
  | ({ type: 'beat'; id: number } & HeartbeatSample)
  /** A silent worker was looked at. */
  | { type: 'examined'; id: number; wedged: boolean }
  /** The black box of a wedged worker is closed. */
  | { type: 'hung'; id: number; why: string }
  /** It sends what no worker of ours sends. */
  | { type: 'misused'; id: number; why: string }
  | { type: 'kill-sent'; id: number; reason: KillReason }
  /** The worker says that it cannot boot, as another try would find too. */
  | { type: 'boot-failed'; id: number; why: string }
  /** `random` in [0, 1) is the jitter of the backoff. */
  | { type: 'exit'; id: number; how: string; random: number; oom?: boolean }
  /** No process could be made. */
  | { type: 'fork-failed'; slot: number; generation: number; how: string; random: number }
  /** The slot's code is being changed on disk: not now. */
  | { type: 'fork-deferred'; slot: number; ms: number }
  /** With a heap snapshot, to that file, when it has drained. */
  | { type: 'recycle'; id: number; snapshot?: string }
  /** A command came through it, or was answered. */
  | { type: 'errand'; id: number; change: 1 | -1 }
  | { type: 'emptied'; id: number }
  | { type: 'roll-failed'; why: string }
  | { type: 'release-gone' | 'reload' | 'roll-ended' | 'stop' | 'port-closed' }
  | { type: 'scale'; desired: number }

export type Action =
  | { type: 'fork'; slot: number; generation: number; why: string }
  | { type: 'drain'; id: number; handOver: boolean; why: string; recycled?: RecycleReason }
  | { type: 'examine'; id: number }
  | { type: 'kill'; id: number; reason: KillReason; why: string }
  | { type: 'end-roll'; outcome: 'done' | 'failed' | 'stopped'; generation: number; why?: string }
  | { type: 'exit'; code: 'drained' | 'cannot-boot' | 'crash-loop'; why: string }

export function initialState(desired: number): State {
  return {
    phase: 'running',
    desired,
    generation: 1,
    lastGeneration: 1,
    releaseGone: false,
    workers: [],
    slots: {},
    rolloutRequested: false,
    everReady: false,
    bootFailures: { count: 0, final: false, why: '' },
    restarts: Object.fromEntries(RESTART_REASONS.map((reason) => [reason, 0])) as Record<RestartReason, number>
  }
}

export const find = (state: State, id: number) => state.workers.find((worker) => worker.id === id)

/** The slots that are wanted. */
export const slotsOf = (state: State) => Array.from({ length: state.desired }, (_, slot) => slot)

/** It serves, or will: not one that leaves, and not one that hangs. */
export const isLive = (worker: Worker) => worker.status !== 'draining' && !worker.lost
export const serves = (worker: Worker) => worker.status === 'ready' && isLive(worker)
/** It may stay while a command goes on, which may be the very one that replaces it: nothing waits for it. */
export const isAnsweringAdminRequest = (worker: Worker) =>
  worker.drained === true && (worker.pendingAdminRequests ?? 0) > 0
export const liveIn = (state: State, slot: number) =>
  state.workers.filter((worker) => worker.slot === slot && isLive(worker))

/** So many slots are held at long pauses after failures in a row that the service cannot be called well. */
export const isDegraded = (state: State, limits: Pick<Limits, 'slotAttempts'>) =>
  slotsOf(state).some(
    (slot) => (state.slots[slot]?.failures ?? 0) >= limits.slotAttempts / 2 && !liveIn(state, slot).some(serves)
  )

/** Why a new worker is to take its place, if so. */
export function recycling(worker: Worker, limits: Limits, now: number): RecycleReason | undefined {
  return worker.retire ?? (worker.status === 'ready' && now >= endOfAge(worker, limits) ? 'age' : undefined)
}

/** Limits of requests and age are spread by a tenth. */
export const spread = (limit: number, worker: Worker) => limit * (1 + worker.jitter / 10)
export const endOfAge = (worker: Worker, limits: Limits) =>
  limits.maxAgeMs > 0 ? worker.since + spread(limits.maxAgeMs, worker) : Number.POSITIVE_INFINITY
