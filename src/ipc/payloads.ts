import type { Cut, WaitsFor } from './drain-report.ts'
import type { Family } from './series.ts'
import type { Sighting } from './sightings.ts'

/** A worker as every process may see it. */
export interface WorkerView {
  slot: number
  pid: number
  generation: number
  status: 'starting' | 'ready' | 'draining'
}

/** The state of the service. The primary sends it to every worker at each change; workers read their copy. */
export interface ServiceView {
  /** `degraded`: the service answers, but a slot fails again and again. */
  state: 'starting' | 'running' | 'reloading' | 'upgrading' | 'degraded' | 'draining'
  /** The number of workers that is wanted. */
  desired: number
  workers: WorkerView[]
  /** False while any ready worker cannot reach Redis, so that every worker answers alike. */
  redis: boolean
}

/** The load and the memory of a worker. Its event loop sends them every second. */
export interface Heartbeat {
  /** Requests that are not answered yet. */
  inFlight: number
  /** Open connections. */
  connections: number
  /** Requests received since the start. */
  requests: number
  /** The 99th percentile of the event loop's delay since the previous heartbeat, in ms. */
  loopDelayMs: number
  /** The share of time since the previous heartbeat in which the event loop was busy, 0 to 1. */
  utilization: number
  rssBytes: number
  heapBytes: number
  /** The number of further connections that there are file descriptors for; undefined: plenty. */
  room?: number | undefined
  /** Set while the worker lingers. */
  waitsFor?: WaitsFor | undefined
  /** What was in flight at moments since the previous heartbeat. */
  samples?: Sighting[][] | undefined
}

/** The number of requests that a worker had received at its last heartbeat. */
export interface WorkerRequestCount {
  pid: number
  /** Since the start of the worker. */
  requests: number
}

/** The outcome of a drain, in connections. `total` is the sum of all other fields. */
export interface DrainStats {
  /** Open when the drain began, or opened during it. */
  total: number
  /** Transferred to another worker; the clients noticed nothing. */
  handedOver: number
  /** Closed after an answer that announced it. */
  answered: number
  /** WebSockets closed with the code 1012. */
  closed?: number
  /** Closed by FIN between two requests, after the keep-alive time that the clients know. */
  idle: number
  /** Closed by the client. */
  left: number
  /** Destroyed at the deadline. */
  cut: number
  /** Sent to the primary, which could not pass them on to another worker. */
  lost?: number
  /** Still open: their clients wait for the answer to an admin command, which may have caused this drain. */
  waiting?: number
}

/** What a worker reports when it has drained. */
export interface DrainReport extends DrainStats {
  /** The connections of `cut`, by kind and reason. */
  cuts?: Cut[]
}

/** The client's end of a connection. */
export interface Peer {
  address: string
  /** 0 for a Unix socket. */
  port: number
}

/** The properties of a connection besides its descriptor. They stay with the connection when that is transferred. */
export interface Origin {
  /** The connection came in at ADMIN_PORT. */
  admin?: boolean
  /** The client that a proxy named in a PROXY header. */
  client?: Peer
}

/** An exchange in progress that another worker continues on the same connection. */
export interface Resume {
  kind: 'stream' | 'websocket'
  /** The request to replay, up to and including the empty line. Each character is one byte. */
  head: string
  /** The id of the request in the log. */
  requestId?: string | undefined
  /** What the client has sent of its next WebSocket frame, in base64. */
  more?: string
  /** What the old handler gives to the new one, as JSON text. */
  state?: string
}

/** What a busy worker gives to others. Loads are in event loops: 1 is one that is always busy. */
export interface Rebalance {
  /** The load of the worker. */
  utilization: number
  /** The load that it keeps. */
  keep: number
  /** The workers that get the rest, by id. */
  targets: { id: number; amount: number }[]
}

/** The metrics of one worker. */
export interface Metrics {
  /** Counters, histograms and summaries of the app. The primary retains them when the worker exits. */
  counters: Family[]
  /** Gauges, and metrics of the process. They end with the worker. */
  others: Family[]
}

/** The metrics of all processes at one moment. */
export interface Collection {
  /**
   * Live workers, the newest first, then the retained counters of exited workers, by slot. A worker that did not answer in
   * time has the counters of its last report.
   */
  workers: ({ slot: number } & Metrics)[]
  primary: Family[]
  missing: { slot: number; pid: number; why: string }[]
}

/** A request that is not answered yet. */
export interface InFlight {
  id: string
  method: string
  /** The template of the route; empty when none matched, or routing has not happened yet. */
  route: string
  /** Without the query. */
  path: string
  ageMs: number
}

/** A worker that did what was requested. */
export interface Ack {
  host: string
  slot: number
  pid: number
}

/** The workers that handled a message, and those that are not known to have handled it, with the reason. */
export interface DeliveryReport {
  acks: Ack[]
  missing: (Ack & { why: string })[]
}

/** The person or program that gives a command. */
export interface Caller {
  transport: 'socket' | 'http' | 'signal'
  /** A fingerprint of the token, the user that owns the socket, or the name of the signal. */
  who: string
  /** The client address; only over HTTP. */
  from?: string
  /** Only over HTTP. */
  requestId?: string
}

/** The answer to a command. `ok` is false when the outcome is not what the caller asked for. */
export interface CommandAnswer {
  /** The status code of the HTTP response. */
  statusCode: number
  body:
    | ({ ok: boolean; result: unknown } & DeliveryReport)
    | { ok: false; statusCode: number; code: string; error: string; message: string }
}

/** What operators watch: the whole status once a second, and entries of the journal and the audit log as they are written. */
export type AdminEvent = { event: 'status' | 'journal' | 'audit'; data: object }

/** The answer of a worker to `diagnose`. */
export interface Diagnostics {
  /** Since the previous heartbeat. */
  loopDelayMs: { mean: number; p50: number; p99: number; max: number }
  memoryBytes: Record<string, number>
  cpuMs: { user: number; system: number }
  /** The number of handles and requests that keep the event loop alive, by kind. */
  active: Record<string, number>
}

/** A message to the handlers of a topic. The payload is JSON text, so that processes which pass it on need not parse it. */
export interface Broadcast {
  topic: string
  payload: string
}

/** A worker refused a request: the status code of the HTTP response, and a message for the caller. */
export interface Refusal {
  refused: { statusCode: number; message: string }
}

export interface SettingsView {
  version: number
  values: Record<string, unknown>
  /** The JSON schema of each setting, if it was asked for. */
  schemas?: Record<string, object>
}

/** A session as its user and operators may see it. */
export interface SessionView {
  /** Identifies the session without giving access to it. */
  handle: string
  /** In ms since 1970. */
  createdAt: number
  /** The time until the session ends unless it is used, in ms. */
  idleLeftMs: number
}

/** A certificate chain and its private key, in PEM. */
export interface CertificatePair {
  cert: string
  key: string
}
