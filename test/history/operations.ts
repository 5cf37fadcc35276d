/** When an operation was called and when it returned, in ms of the machine's monotonic clock ({@link nowMs}). */
export interface Interval {
  /** Position in the history. */
  id: number
  /** The client or the worker that called it. */
  process: string
  invokedAt: number
  /**
   * null: the outcome is unknown (an error, a timeout, a killed process). The operation may take effect at any time after the
   * call, or never.
   */
  returnedAt: number | null
}

/** A shared counter. `increment` returns its own number, `read` the value. */
export interface CounterOperation extends Interval {
  model: 'counter'
  /** The name of the counter. */
  object: string
  kind: 'increment' | 'read'
  /** Present when the operation returned. */
  number?: number
}

/**
 * The settings of a service. `set` returns the version of the whole set of settings, `read` asks Redis for value and version,
 * `copy` reads the copy of the worker `process`.
 */
export interface SettingsOperation extends Interval {
  model: 'settings'
  /** The name of the setting. */
  object: string
  kind: 'set' | 'read' | 'copy'
  /** What `set` writes, and what a read finds. Every `set` writes another value. null: never set. */
  value: string | null
  /** Present when the operation returned. */
  version?: number
  /** A `copy` that was read after the longest delay of an announcement, with no fault meanwhile: it is not behind. */
  isCalm?: boolean
}

/** A session. `put` writes one key, `get` finds the value of one key, `sign-out` ends the session. */
export interface SessionOperation extends Interval {
  model: 'session'
  /** The name of the session. */
  object: string
  kind: 'put' | 'get' | 'sign-out'
  /** The top-level key; null for all keys: a sign-out, or a `get` that found no session. */
  key: string | null
  /** What `put` writes, another value each time, and what `get` finds; null: the key is not there. */
  value?: number | null
  /** Whether the request found that there is no such session (any more). */
  isGone?: boolean
}

/**
 * A hold of a lock, or a run of `every`. `invokedAt` and `returnedAt` are the first and the last moment at which the holder
 * certainly believed that it held the lease: the signal was not aborted, and its event loop turned without a pause.
 */
export interface HoldOperation extends Interval {
  model: 'lock' | 'every'
  /** The name of the lock or of the job. */
  object: string
  kind: 'hold'
  returnedAt: number
  /** `lock` only: when the holder asked for the lock. */
  askedAt?: number
  fence: number
  /** `every` only: the beginning of the period. */
  period?: number
}

/** A call of `once`. */
export interface OnceOperation extends Interval {
  model: 'once'
  /** The name of the work. */
  object: string
  kind: 'call'
  /**
   * Present when the call returned. `ran`: the function ran and succeeded, and its signal was not aborted. `failed`: it ran and
   * threw, or its signal was aborted. `refused`: it did not run.
   */
  result?: 'ran' | 'failed' | 'refused'
}

export type Operation = CounterOperation | SettingsOperation | SessionOperation | HoldOperation | OnceOperation

/** A broken promise, with the shortest part of the history that shows it. */
export interface Violation<O extends Interval = Operation> {
  /** The model and the object, such as `lock printer`. */
  object: string
  /** What must hold and does not. */
  rule: string
  /** Operations that cannot all be right, in the order of their calls. */
  operations: O[]
}

/** Returns the end of an operation; an unknown outcome never ends. */
export const endOf = ({ returnedAt }: Interval): number => returnedAt ?? Number.POSITIVE_INFINITY

export const hasReturned = ({ returnedAt }: Interval): boolean => returnedAt !== null

/** Whether the first one had returned when the second one was called. */
export const isBefore = (first: Interval, second: Interval): boolean => endOf(first) < second.invokedAt

export const byCall = (a: Interval, b: Interval): number => a.invokedAt - b.invokedAt

/** The monotonic clock, in ms. All processes of one machine share it, and no wall clock moves it. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

/** Groups values by a text. */
export function groupBy<T>(values: Iterable<T>, textOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const text = textOf(value)
    const group = groups.get(text)
    if (group) group.push(value)
    else groups.set(text, [value])
  }
  return groups
}
