import { Cluster } from 'ioredis'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { type RedisClient, retryDelay } from './redis-client.ts'
import { CLOSED, isSentinelFailure, isServerError, isUnsent } from './redis-errors.ts'
import type { Keys } from './redis-keys.ts'

/** The pause between probes while Redis is away. */
const PROBE_MS = 500
/** A probe is sent when no command was sent for this time, so that /readyz is right on an idle service too. */
const IDLE_MS = 2000

/** The outcomes that a monitor reports. */
export interface MonitorEvents {
  /** A probe has succeeded after an outage. Redis counts as up when this resolves, and as down when it rejects. */
  onRestored(): Promise<void>
  onUp(): void
  onDown(cause: Error): void
}

/**
 * Finds out whether Redis is up: it connects, watches the connection, and probes after each new connection, after a suspicious
 * error, and when the service is idle. One probe runs at a time.
 */
export class RedisMonitor {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #circuit: CircuitBreaker
  readonly #events: MonitorEvents
  /** Number of connections so far. */
  connections = 0
  /** When the last command was sent, in ms of `performance.now()`. */
  lastSentAt = 0
  #isSendingProbe = false
  #isProbing = false
  #isStopped = false
  #timer: NodeJS.Timeout | undefined
  /** The error of the last connection, if there was one. */
  #connectionError: Error | undefined
  /** The last error of a Sentinel. */
  #sentinelError: Error | undefined

  /** @param circuit is read only: the monitor reports by `events` */
  constructor(client: RedisClient, keys: Keys, circuit: CircuitBreaker, events: MonitorEvents) {
    this.#client = client
    this.#keys = keys
    this.#circuit = circuit
    this.#events = events
    this.#listen()
  }

  /** Whether the command that the client sends at this moment is the probe, which an open circuit must not refuse. */
  get isSendingProbe(): boolean {
    return this.#isSendingProbe
  }

  connect(): void {
    // The events 'error' and 'close' report a failure.
    this.#client.connect().catch(() => {})
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#client.disconnect()
  }

  /** Finds out whether an error concerns Redis, or only the command that failed. */
  probeAfter(error: Error): void {
    if (this.#circuit.circuit === 'open' || this.#client.status !== 'ready') return
    if (isServerError(error)) void this.#probe()
  }

  #listen(): void {
    const on = this.#client.on.bind(this.#client) as (event: string, listener: (error?: Error) => void) => void
    on('connect', () => {
      this.#connectionError = undefined
    })
    on('ready', () => {
      this.connections++
      void this.#probe()
    })
    on('sentinelError', (error) => {
      this.#sentinelError = error
    })
    on('error', (error) => this.#onError(error!))
    on('close', () => this.#reportDown(this.#connectionError ?? CLOSED))
    // A client that is told of a failover while it is connecting ends for good.
    on('end', () => this.#after(retryDelay(1), () => this.connect()))
    on('node error', (error) => {
      if (!isUnsent(error!)) this.#connectionError = error
      this.probeAfter(error!)
    })
    on('-node', () => this.probeAfter(CLOSED))
  }

  #onError(error: Error & { lastNodeError?: Error }): void {
    const sentinelError = isSentinelFailure(error) ? this.#sentinelError : undefined
    this.#connectionError = error.lastNodeError ?? sentinelError ?? error
    this.#reportDown(this.#connectionError)
    // After a handshake that failed in part, at SELECT for example, the client would go on in the wrong database.
    if (this.#client.status === 'connect') this.#client.disconnect(true)
  }

  async #probe(): Promise<void> {
    if (this.#isProbing || this.#isStopped) return
    this.#isProbing = true
    try {
      if (this.#client instanceof Cluster) await this.#connectNewNodes(this.#client)
      await this.#sendProbe()
      if (this.#circuit.circuit === 'open') await this.#events.onRestored()
      if (this.#client.status === 'ready') this.#events.onUp()
    } catch (error) {
      this.#reportDown(isUnsent(error as Error) ? (this.#connectionError ?? CLOSED) : (error as Error))
    } finally {
      this.#isProbing = false
      this.#scheduleProbe()
    }
  }

  /** ioredis connects to a new node of a Cluster with the first command only, and sends nothing to one that it is connecting to. */
  async #connectNewNodes(cluster: Cluster): Promise<void> {
    const unconnected = cluster.nodes('master').filter((node) => node.status === 'wait')
    const connected = Promise.allSettled(unconnected.map((node) => node.connect()))
    if (this.#circuit.circuit === 'open') await connected
  }

  /**
   * Sends a command that Redis refuses whenever it refuses writes, and that changes nothing: SET with XX on a key that never
   * exists, so the append-only file and replicas are not involved. In a Cluster it goes to the node that stores the hits.
   */
  #sendProbe(): Promise<unknown> {
    this.#isSendingProbe = true
    const answer = this.#client.set(`{${this.#keys.of('hits')}}:probe`, '1', 'PX', 1, 'XX')
    this.#isSendingProbe = false
    return answer
  }

  /** Schedules the next probe. Without a connection, the event 'ready' of the next one starts it. */
  #scheduleProbe(): void {
    if (this.#client.status !== 'ready') return
    if (this.#circuit.up) this.#after(IDLE_MS, () => this.#probeIfIdle())
    else this.#after(PROBE_MS, () => this.#probeAgain())
  }

  #probeIfIdle(): void {
    if (performance.now() - this.lastSentAt < IDLE_MS) this.#scheduleProbe()
    else void this.#probe()
  }

  /** Probes again, or reconnects when a failover has made the server a replica: its name may lead to another server by now. */
  #probeAgain(): void {
    const { cause } = this.#circuit
    if (this.#client instanceof Cluster || !cause?.message.includes('READONLY')) return void this.#probe()
    this.#connectionError = cause
    this.#client.disconnect(true)
  }

  #after(ms: number, action: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#isStopped) this.#timer = setTimeout(action, ms)
  }

  #reportDown(cause: Error): void {
    if (!this.#isStopped) this.#events.onDown(cause)
  }
}
