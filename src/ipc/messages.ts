/**
 * The contract between the primary and its workers: everything that ever crosses the channel. Old and new code talk to
 * each other during a roll, so fields are only ever added, and a message of an unknown type is dropped by the receiver.
 */

import type { Family } from './series.ts'

/** One worker as everyone may know it. */
export interface WorkerView {
  slot: number
  pid: number
  generation: number
  status: 'starting' | 'ready' | 'draining'
}

/** What the primary says of the whole service; broadcast on every change, read locally in every worker. */
export interface ServiceView {
  /** Degraded: it serves, but a slot fails again and again. */
  state: 'starting' | 'running' | 'reloading' | 'degraded' | 'draining'
  /** Workers wanted. */
  desired: number
  workers: WorkerView[]
  /** False while any ready worker has lost Redis: one answer for the service, whichever worker is asked. */
  redis: boolean
}

/** How often a worker says how it is, in ms. */
export const HEARTBEAT_MS = 1000

/** How a worker is; said by its event loop every second. */
export interface Heartbeat {
  /** Requests not answered yet. */
  inFlight: number
  /** Open connections. */
  connections: number
  /** Requests received since the start. */
  requests: number
  /** The 99th percentile of the event loop's delay since the last heartbeat, in ms. */
  loopDelayMs: number
  /** Part of the time since the last heartbeat that the event loop was busy, 0 to 1. */
  utilization: number
  rssBytes: number
  heapBytes: number
  /** How many more connections it has file descriptors for; undefined: plenty. */
  room?: number | undefined
}

/** What a worker has served, as it said in its last heartbeat; of the whole service, for who watches it. */
export interface WorkerRequestCount {
  pid: number
  /** Requests received since its start. */
  requests: number
}

/** How one drain went, in connections. It balances: `total` is the sum of the others. */
export interface DrainStats {
  /** Open when the drain began, or opened meanwhile. */
  total: number
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
  /** Sent to the primary, which could not pass them to another worker. */
  lost?: number
  /** Still open, because their clients wait for the answer to an admin command, of which this drain may be a part. */
  waiting?: number
}

/** The client's end of a connection. */
export interface Peer {
  address: string
  /** 0 where there is none. */
  port: number
}

/** What a connection is beside its bytes. It stays with the connection when that is transferred. */
export interface Origin {
  /** It came in at ADMIN_PORT. */
  admin?: boolean
  /** The client that a proxy named in its PROXY header. */
  client?: Peer
}

/** What a worker knows of itself: counts that go on when it ends, and what does not. */
export interface Metrics {
  counts: Family[]
  others: Family[]
}

/** What is known of every process at one moment. */
export interface Collection {
  /**
   * The newest first. A worker that did not answer in time has its counts as they were last heard; behind them all come
   * the counts of workers that are gone, by slot.
   */
  workers: ({ slot: number } & Metrics)[]
  primary: Family[]
  missing: { slot: number; pid: number; why: string }[]
}

/** One request that is not answered yet. */
export interface InFlight {
  id: string
  method: string
  /** The template of its route; empty where none matched, or not yet. */
  route: string
  ageMs: number
}

/** The global function of a worker that lists its requests in flight as JSON, for who asks through the debugger. */
export const IN_FLIGHT: unique symbol = Symbol.for('muster.inFlight')

/** A worker that did what it was told. */
export interface Ack {
  host: string
  slot: number
  pid: number
}

/** What became of a message to workers: who dealt with it, and who is not known to have. */
export interface DeliveryReport {
  acks: Ack[]
  missing: (Ack & { why: string })[]
}

/** Who gives a command, and through which door. */
export interface Caller {
  transport: 'socket' | 'http' | 'signal'
  /** A fingerprint of the token, or the user who may open the socket. */
  who: string
  /** The address it came from; none at the socket. */
  from?: string
  requestId?: string
}

/** How a command went; the status code is HTTP's. `ok` is false when the outcome is not what was asked. */
export interface CommandAnswer {
  statusCode: number
  body:
    | ({ ok: boolean; result: unknown } & DeliveryReport)
    | { ok: false; statusCode: number; code: string; error: string; message: string }
}

/** What an operator's stream carries: the whole status, once a second, and what happens, as it happens. */
export type AdminEvent = { event: 'status' | 'journal' | 'audit'; data: object }

/** What a worker says when it is asked how it is. */
export interface Diagnostics {
  /** Since the last heartbeat. */
  loopDelayMs: { mean: number; p50: number; p99: number; max: number }
  memoryBytes: Record<string, number>
  cpuMs: { user: number; system: number }
  /** Handles and requests that keep the event loop, by kind. */
  active: Record<string, number>
}

/** To handlers of this topic. `payload` is JSON as text: who only passes it on does not parse it. */
export interface Broadcast {
  topic: string
  payload: string
}

/** Why something was not done: a status code of HTTP, and words for who asked. */
export interface Refusal {
  refused: { statusCode: number; message: string }
}

export interface SettingsView {
  version: number
  values: Record<string, unknown>
}

/** A session as its user, or who runs the service, may see it. */
export interface SessionView {
  /** Names the session; it does not open it. */
  handle: string
  /** In ms since 1970. */
  createdAt: number
  /** It ends when unused for so long, in ms. */
  idleLeftMs: number
}

/** Certificate chain and private key, in PEM. */
export interface CertificatePair {
  cert: string
  key: string
}

/** Questions and the types of their arguments and answers, for each direction. */
export type WorkerRequests = {
  metrics: { args: Record<string, never>; result: Metrics }
  /** Messages are answered in their order: who answers this has dealt with all before it. */
  ping: { args: Record<string, never>; result: null }
  /** Runs its handlers of the topic; answered when they have ended, with an error when one failed. */
  deliver: { args: Broadcast; result: null }
  /** One setting, or all. */
  'settings-get': { args: { key?: string }; result: SettingsView | Refusal }
  /** To a value, or to what somebody typed. Answered with the workers of this host that have it. */
  'settings-set': {
    args: { key: string } & ({ value: unknown } | { text: string })
    result: (SettingsView & DeliveryReport) | Refusal
  }
  /** Of all workers of all hosts; `unanswered` are those of others that Redis reached and that were silent. */
  'cache-clear': { args: Record<string, never>; result: (DeliveryReport & { unanswered: number }) | Refusal }
  /** Written to the file at `path`, which must not be there. */
  profile: { args: { path: string; ms: number }; result: { bytes: number } }
  report: { args: { path: string }; result: { bytes: number } }
  diagnose: { args: Record<string, never>; result: Diagnostics }
  'sessions-list': { args: { user: string }; result: SessionView[] | Refusal }
  /** Without a handle, all of the user's. */
  'sessions-end': { args: { user: string; handle?: string | undefined }; result: { ended: number } | Refusal }
}
export type PrimaryRequests = {
  'collect-metrics': { args: Record<string, never>; result: Collection }
  'request-counts': { args: Record<string, never>; result: WorkerRequestCount[] }
  /** A worker's last words, answered so that they are heard before its exit is. */
  drained: { args: DrainStats; result: null }
  /** Of the admin plane; answered when it is done, however long that takes. */
  command: { args: { name: string; args: object; caller: Caller }; result: CommandAnswer }
  /** What the worker is to serve TLS with; null without TLS. */
  certificates: { args: Record<string, never>; result: CertificatePair | null }
  /** To every worker of this host. */
  broadcast: { args: Broadcast & { deadlineMs: number }; result: DeliveryReport }
}

export type ToWorker =
  | { type: 'service'; view: ServiceView }
  /**
   * A connection to serve; the handle comes with the message. `idleMs` is what is left of its keep-alive time, none for
   * a fresh one; `head` is what the client has sent and was read of it already, in base64.
   */
  | { type: 'connection'; id: number; idleMs?: number; head?: string; origin?: Origin }
  /** The bound socket to accept on, asked for; the handle comes with the message. */
  | { type: 'port' }
  /** The connection that was handed over under this id is at another worker; with `lost`, no worker could take it. */
  | { type: 'transferred'; id: number; lost?: boolean }
  /** Finish and leave. With `transfer`, idle connections are transferred to other workers; without, they are closed in order. */
  | {
      type: 'drain'
      transfer: boolean
      deadlineMs: number
      /** When it serves nobody any more, it writes a heap snapshot to this file. */
      snapshot?: string
    }
  /** From now on TLS session tickets are made with these 48 bytes, in base64. */
  | { type: 'ticket-keys'; keys: string }
  /** For the operators' streams of this worker; sent only while it {@link ToPrimary watches}. */
  | { type: 'admin-event'; event: AdminEvent }

export type ToPrimary =
  /** Wants the socket of the port, to accept on it. */
  | { type: 'port' }
  /** Serving. */
  | { type: 'ready' }
  /** Cannot boot; said once, just before exit 78. */
  | { type: 'boot-failed'; why: string }
  | { type: 'redis'; up: boolean }
  | { type: 'heartbeat'; heartbeat: Heartbeat }
  /** Whether it wants what operators see. */
  | { type: 'watch'; on: boolean }
  /** Counts that have changed since it said them last: all that is left of a worker that is killed. */
  | { type: 'counters'; families: Family[] }
  /** The connection of this id is being served here. */
  | { type: 'accepted'; id: number; room?: number | undefined }
  /** How many more connections it has file descriptors for. */
  | { type: 'room'; room: number }
  /** An idle connection for another worker; the handle comes with the message. */
  | { type: 'transfer'; id: number; idleMs: number; origin?: Origin }

type TypeName<T> = T extends string ? 'string' : T extends boolean ? 'boolean' : T extends number ? 'number' : 'object'
/** What must be in a message: fields that came with a newer version are left out, or are `undefined` in an older one's. */
type Shape<M> = { [F in keyof Omit<M, 'type'> as undefined extends M[F] ? never : F]: TypeName<M[F]> }

const TO_PRIMARY: { [T in ToPrimary['type']]: Shape<Extract<ToPrimary, { type: T }>> } = {
  port: {},
  ready: {},
  'boot-failed': { why: 'string' },
  redis: { up: 'boolean' },
  heartbeat: { heartbeat: 'object' },
  watch: { on: 'boolean' },
  counters: { families: 'object' },
  accepted: { id: 'number' },
  room: { room: 'number' },
  transfer: { id: 'number', idleMs: 'number' }
}
const REQUESTS_TO_PRIMARY: { [Q in keyof PrimaryRequests]: Shape<PrimaryRequests[Q]['args']> } = {
  certificates: {},
  'collect-metrics': {},
  command: { name: 'string', args: 'object', caller: 'object' },
  'request-counts': {},
  broadcast: { topic: 'string', payload: 'string', deadlineMs: 'number' },
  drained: { total: 'number', handedOver: 'number', answered: 'number', idle: 'number', left: 'number', cut: 'number' }
}

/**
 * True for what the primary understands of what a worker sent: a worker runs anybody's code, and may be of another
 * version. Numbers are counts, ids and durations: never negative.
 */
export function isToPrimary(message: { type?: unknown; request?: unknown; args?: unknown }): boolean {
  const [shapes, name, fields] =
    typeof message.request === 'string'
      ? [REQUESTS_TO_PRIMARY, message.request, message.args]
      : [TO_PRIMARY, message.type, message]
  if (typeof name !== 'string' || !Object.hasOwn(shapes, name) || typeof fields !== 'object') return false
  return Object.entries((shapes as Record<string, object>)[name]!).every(([field, type]) => {
    const value = (fields as Record<string, unknown> | null)?.[field]
    return typeof value === type && value !== null && (typeof value !== 'number' || value >= 0)
  })
}
