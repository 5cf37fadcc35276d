/*
 * The contract between the primary and its workers: every message that crosses the channel. During a rollout old and new code
 * talk to each other, so fields are only ever added, and the receiver drops messages of an unknown type.
 */
import type { WaitsFor } from './drain-report.ts'
import type { HostRequests } from './host-messages.ts'
import type { LatencyBaseline, LatencyLimits, Measurement } from './measurement.ts'
import type {
  AdminEvent,
  Broadcast,
  Caller,
  CertificatePair,
  Collection,
  CommandAnswer,
  DeliveryReport,
  Diagnostics,
  DrainReport,
  Heartbeat,
  Metrics,
  Origin,
  Rebalance,
  Refusal,
  Resume,
  ServiceView,
  SessionView,
  SettingsView,
  WorkerRequestCount
} from './payloads.ts'
import type { ProfileOrigin } from './profile-origin.ts'
import type { ProbeOutcome, QuarantineOrders } from './quarantine.ts'
import type { Family } from './series.ts'

export type * from './payloads.ts'

/** The time between two heartbeats, in ms. */
export const HEARTBEAT_MS = 1000

/** The resolution, in ms, at which heartbeats and metrics measure a worker's event loop: the same, so that their timers mostly wake together. */
export const EVENT_LOOP_RESOLUTION_MS = 20

/** The name of a worker's global function that lists its requests in flight as JSON. The hang report calls it by the inspector. */
export const IN_FLIGHT: unique symbol = Symbol.for('muster.inFlight')

type NoArguments = Record<string, never>

/** Requests from the primary to a worker. */
export type WorkerRequests = {
  metrics: { args: NoArguments; result: Metrics }
  /** Messages are handled in order: a worker that answers has handled everything sent before. */
  ping: { args: NoArguments; result: null }
  /** Runs the worker's handlers of the topic. Answered when they have finished; an error when one failed. */
  deliver: { args: Broadcast; result: null }
  /** One setting, or all of them. */
  'settings-get': { args: { key?: string; schemas?: boolean }; result: SettingsView | Refusal }
  /** Sets a setting to a JSON value or to the value that a text stands for. Reports the workers of this host that have it. */
  'settings-set': {
    args: { key: string } & ({ value: unknown } | { text: string })
    result: (SettingsView & DeliveryReport) | Refusal
  }
  /** Empties the caches of all workers on all hosts. `unanswered` counts workers of other hosts that did not confirm it. */
  'cache-clear': { args: NoArguments; result: (DeliveryReport & { unanswered: number }) | Refusal }
  /** Writes a CPU profile to a new file at `path`, with its origin. Fails when the file exists. */
  profile: { args: { path: string; ms: number; origin?: ProfileOrigin }; result: { bytes: number } }
  /** Writes Node's diagnostic report to a new file at `path`. */
  report: { args: { path: string }; result: { bytes: number } }
  diagnose: { args: NoArguments; result: Diagnostics }
  'sessions-list': { args: { user: string }; result: SessionView[] | Refusal }
  /** Ends all sessions of a user, or the one with the handle. */
  'sessions-end': { args: { user: string; handle?: string | undefined }; result: { ended: number } | Refusal }
} & {
  [Name in keyof HostRequests]: { args: HostRequests[Name]['args']; result: HostRequests[Name]['result'] | Refusal }
}

/** Requests from a worker to the primary. */
export type PrimaryRequests = {
  'collect-metrics': { args: NoArguments; result: Collection }
  'request-counts': { args: NoArguments; result: WorkerRequestCount[] }
  /** The drain has finished. It is a request so that the primary knows the result before it sees the exit. */
  drained: { args: DrainReport; result: null }
  /** An admin command. Answered when it is done, however long that takes. */
  command: { args: { name: string; args: object; caller: Caller }; result: CommandAnswer }
  /** The certificate to serve; null without TLS. */
  certificates: { args: NoArguments; result: CertificatePair | null }
  /** The orders of this moment. A new worker asks before it serves. */
  quarantine: { args: NoArguments; result: QuarantineOrders }
  /** Whether a request of this quarantined route may be let through. */
  probe: { args: { id: number }; result: boolean }
  /** Sends a message to the handlers in every worker of this host. */
  broadcast: { args: Broadcast & { deadlineMs: number }; result: DeliveryReport }
}

/** Notifications from the primary to a worker. */
export type ToWorker =
  | { type: 'service'; view: ServiceView }
  /**
   * A connection to serve; its handle comes with the message. `idleMs` is the rest of its keep-alive time, absent for a new
   * connection. `head` is what the primary has read from the client already, in base64. With `resume`, the connection is in use.
   */
  | { type: 'connection'; id: number; idleMs?: number; head?: string; origin?: Origin; resume?: Resume }
  /** The listening socket that the worker asked for; its handle comes with the message. */
  | { type: 'port' }
  /** Another worker serves the connection that was sent by `transfer`; with `lost`, no worker could take it. */
  | { type: 'transferred'; id: number; lost?: boolean }
  | {
      type: 'drain'
      /** Transfer idle connections to other workers instead of closing them in order. */
      transfer: boolean
      /** The primary passes on `resume` of a transfer. */
      resumes?: boolean
      /** Cut what is left after this time; with `lingerTimeoutMs`, only what has made no progress for so long. */
      deadlineMs: number
      /** Cut what is left after this time. */
      lingerTimeoutMs?: number
      /** The file for a heap snapshot, which the worker writes when it serves no client any more. */
      snapshot?: string
    }
  /** Cut what is left in `deadlineMs`. The worker drains already. Without `transfer`, no worker takes connections any more. */
  | { type: 'finish'; transfer: boolean; deadlineMs: number }
  /** Give connections to less busy workers. */
  | ({ type: 'rebalance' } & Rebalance)
  /**
   * Measure requests, and report once a second until `stop`. `baseline`: all latencies. `assign`: connections from now on are
   * assigned to this worker by chance. `trial`: what their requests show, by `limits` of latency.
   */
  | {
      type: 'measure'
      step: 'baseline' | 'assign' | 'trial' | 'stop'
      limits?: LatencyLimits | undefined
      /** A client is on one side with all its connections. */
      perClient?: boolean
    }
  /** The key of TLS session tickets from now on: 48 bytes, in base64. */
  | { type: 'ticket-keys'; keys: string }
  | { type: 'quarantine'; orders: QuarantineOrders }
  /** An event for the operators who watch through this worker. Sent only while it watches. */
  | { type: 'admin-event'; event: AdminEvent }

/** Notifications from a worker to the primary. */
export type ToPrimary =
  /** The worker needs the listening socket, to accept connections itself. */
  | { type: 'port' }
  /** The worker serves. `resumes`: it can continue what other workers have begun. */
  | { type: 'ready'; resumes?: boolean | undefined }
  /** The worker cannot boot. Sent once, just before it exits with code 78. */
  | { type: 'boot-failed'; why: string }
  /**
   * Files that the worker has loaded, with the times in ms at which they were modified last; 0: the file does not exist. Sent
   * only under `muster dev`.
   */
  | { type: 'imports'; files: Record<string, number> }
  /** The port of the worker's inspector on 127.0.0.1. Sent only under `muster dev --inspect`. */
  | { type: 'inspector'; port: number }
  | { type: 'redis'; up: boolean }
  | { type: 'heartbeat'; heartbeat: Heartbeat }
  /** What the worker has measured so far. Sent once a second, only while the primary wants it. */
  | { type: 'measured'; baseline?: LatencyBaseline | undefined; measurement?: Measurement | undefined }
  /** Whether the worker wants admin events. */
  | { type: 'watch'; on: boolean }
  /** Counters that have changed since the previous report. When a worker is killed, its last report is what remains. */
  | { type: 'counters'; families: Family[] }
  /** The worker serves the connection with this id. */
  | { type: 'accepted'; id: number; room?: number | undefined }
  /** The number of further connections that the worker has file descriptors for. */
  | { type: 'room'; room: number }
  /** The draining worker has transferred its idle connections and stays for the others. */
  | { type: 'settled'; waitsFor: WaitsFor; report?: DrainReport | undefined }
  /** A request of a quarantined route that was let through has ended. */
  | { type: 'probe-ended'; id: number; outcome: ProbeOutcome }
  /** A connection for another worker; its handle comes with the message. It is idle, unless `resume` tells how to continue. */
  | {
      type: 'transfer'
      id: number
      idleMs: number
      origin?: Origin
      resume?: Resume | undefined
      /** The worker that should get it, if it can: of a worker that rebalances. */
      target?: number | undefined
    }
  /** The worker has done what `rebalance` asked for. */
  | { type: 'rebalanced'; moved: number }

type TypeName<T> = T extends string ? 'string' : T extends boolean ? 'boolean' : T extends number ? 'number' : 'object'
/** The required fields of a message. Fields that may be undefined were added later and can be missing. */
type Shape<M> = { [F in keyof Omit<M, 'type'> as undefined extends M[F] ? never : F]: TypeName<M[F]> }

const NOTIFICATION_SHAPES: { [T in ToPrimary['type']]: Shape<Extract<ToPrimary, { type: T }>> } = {
  port: {},
  ready: {},
  'boot-failed': { why: 'string' },
  imports: { files: 'object' },
  inspector: { port: 'number' },
  redis: { up: 'boolean' },
  heartbeat: { heartbeat: 'object' },
  measured: {},
  watch: { on: 'boolean' },
  counters: { families: 'object' },
  accepted: { id: 'number' },
  room: { room: 'number' },
  settled: { waitsFor: 'object' },
  'probe-ended': { id: 'number', outcome: 'string' },
  transfer: { id: 'number', idleMs: 'number' },
  rebalanced: { moved: 'number' }
}
const REQUEST_SHAPES: { [Name in keyof PrimaryRequests]: Shape<PrimaryRequests[Name]['args']> } = {
  certificates: {},
  quarantine: {},
  probe: { id: 'number' },
  'collect-metrics': {},
  command: { name: 'string', args: 'object', caller: 'object' },
  'request-counts': {},
  broadcast: { topic: 'string', payload: 'string', deadlineMs: 'number' },
  drained: { total: 'number', handedOver: 'number', answered: 'number', idle: 'number', left: 'number', cut: 'number' }
}

/**
 * Checks a message from a worker, which may run any code and another version: true when the primary knows it and all its
 * required fields have the right type. Numbers are counts, ids and durations, so they must not be negative.
 */
export function isMessageToPrimary(message: { type?: unknown; request?: unknown; args?: unknown }): boolean {
  const isRequest = typeof message.request === 'string'
  const shapes: Record<string, object> = isRequest ? REQUEST_SHAPES : NOTIFICATION_SHAPES
  const name = isRequest ? message.request : message.type
  const fields = isRequest ? message.args : message
  if (typeof name !== 'string' || !Object.hasOwn(shapes, name) || typeof fields !== 'object') return false
  return Object.entries(shapes[name]!).every(([field, type]) => {
    const value = (fields as Record<string, unknown> | null)?.[field]
    return typeof value === type && value !== null && (typeof value !== 'number' || value >= 0)
  })
}
