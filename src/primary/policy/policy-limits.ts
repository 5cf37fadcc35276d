/** Limits of the policy. All durations are in ms. */
export interface Limits {
  /** A worker must be ready within this time. */
  bootMs: number
  /** A draining worker must exit within this time: DRAIN_TIMEOUT plus {@link Limits.marginMs}. */
  drainMs: number
  /** Time that a worker needs to report and exit after it has cut its last connection. */
  marginMs: number
  /** A lingering worker must exit within this time, from the start of its drain, plus the margin. */
  lingerMs: number
  /** Number of workers that may linger. 0: no limit; undefined: twice as many as are wanted. */
  maxLingering: number | undefined
  /** Bytes of resident memory of all lingering workers together. 0: no limit. */
  maxLingeringBytes: number
  /** A ready worker that is silent for this long is examined. 0: never. */
  heartbeatMs: number
  /** Time between two examinations of a silent worker that may only be starved of CPU. */
  reexamineMs: number
  /** The first worker of a new release serves beside the old worker for this long before the old one drains. */
  canaryMs: number
  /** The number of slots that a rollout replaces at a time once its first worker has proved itself, at least 1. */
  surge: number
  /** It replaces more than one only while all workers, and one more as large as the largest, need no more resident memory than this, in bytes. */
  surgeBytes: number
  /** A worker that was ready for this long is stable: its failure counts as the first one of its slot. */
  stableMs: number
  backoff: { firstMs: number; maxMs: number }
  /** The service ends after this many boot failures if no worker was ever ready. */
  bootAttempts: number
  /** The service ends when every slot has failed this many times in a row and no worker is live. */
  slotAttempts: number
  /** A worker that cannot boot is not tried again before a reload, and the service never gives up: the code is being written. */
  waitsForReload: boolean
  /** Extra time to exit for a worker that writes a heap snapshot. */
  snapshotMs: number
  /** Bytes of resident memory. 0: no limit. */
  maxMemoryBytes: number
  /** Number of heartbeats in a row that must exceed `maxMemoryBytes`. */
  memorySamples: number
  /** Requests that a worker may receive. 0: no limit. */
  maxRequests: number
  /** 0: no limit. */
  maxAgeMs: number
}

/** The limits that are not settings. */
export const LIMITS = {
  reexamineMs: 250,
  canaryMs: 1000,
  stableMs: 30_000,
  backoff: { firstMs: 100, maxMs: 30_000 },
  bootAttempts: 3,
  slotAttempts: 10,
  waitsForReload: false,
  snapshotMs: 120_000,
  marginMs: 2000,
  memorySamples: 3
} as const
