/**
 * The contract between the primary and its workers: everything that ever crosses the channel. Old and new code talk to
 * each other during a roll, so fields are only ever added, and a message of an unknown type is dropped by the receiver.
 */

/** One worker as everyone may know it. */
export interface WorkerView {
  slot: number
  pid: number
  generation: number
  status: 'starting' | 'ready' | 'draining'
}

/** What the primary says of the whole service; broadcast on every change, read locally in every worker. */
export interface ServiceView {
  state: 'starting' | 'running' | 'reloading' | 'draining'
  /** Workers wanted. */
  desired: number
  workers: WorkerView[]
  /** False while any ready worker has lost Redis: one answer for the service, whichever worker is asked. */
  redis: boolean
}

/** How one drain went, in connections. It balances: `held` is the sum of the others. */
export interface Ledger {
  /** Open when the drain began, or opened meanwhile. */
  held: number
  /** Moved to another worker with the client noticing nothing. */
  handedOver: number
  /** Closed after an answer that said so. */
  answered: number
  /** Closed by FIN between two requests, when the idle time that clients were told was over. */
  idle: number
  /** Closed by the client. */
  left: number
  /** Destroyed at the hard deadline. */
  cut: number
}

/** A series in prom-client's JSON form, which `AggregatorRegistry.aggregate` merges. */
export interface MetricJson {
  name: string
  help: string
  type: string
  aggregator?: string
  values: { value: number; labels: Record<string, string | number>; metricName?: string; exemplar?: unknown }[]
}

/** What every live process answered to one collection. */
export interface Collection {
  /** Newest first within a slot, so that "first wins" gives a gauge of the worker that serves. */
  workers: { slot: number; metrics: MetricJson[] }[]
  primary: MetricJson[]
  missing: { slot: number; pid: number; why: string }[]
}

/** Questions and the types of their arguments and answers, for each direction. */
export type AskOfWorker = {
  metrics: { args: Record<string, never>; result: MetricJson[] }
  /** Messages are answered in their order: who answers this has dealt with all before it. */
  ping: { args: Record<string, never>; result: null }
}
export type AskOfPrimary = {
  collect: { args: Record<string, never>; result: Collection }
  /** A worker's last words, answered so that they are heard before its exit is. */
  drained: { args: Ledger; result: null }
}

export type ToWorker =
  | { type: 'service'; view: ServiceView }
  /** A connection to serve; the handle comes with the message. `idleMs` is what is left of its keep-alive time, none for a fresh one. */
  | { type: 'connection'; id: number; idleMs?: number }
  /** The connection that was handed over under this id is at another worker. */
  | { type: 'moved'; id: number }
  /** Finish and leave. With `handOver` idle connections go to other workers; without, they are closed in order. */
  | { type: 'drain'; handOver: boolean; deadlineMs: number }

export type ToPrimary =
  /** Serving. */
  | { type: 'ready' }
  /** Cannot boot; said once, just before exit 78. */
  | { type: 'boot-failed'; why: string }
  | { type: 'redis'; up: boolean }
  /** The connection of this id is being served here. */
  | { type: 'adopted'; id: number }
  /** An idle connection for another worker; the handle comes with the message. */
  | { type: 'hand-over'; id: number; idleMs: number }
