import type { FastifyInstance } from 'fastify'
import type { Logger } from '../common/log.ts'
import type { WaitsFor } from '../ipc/drain-report.ts'
import { allowClosing } from '../node-internals/pretended-listening.ts'
import type { RedisConnection } from '../state/redis/redis-connection.ts'
import type { SessionSecrets } from '../state/sessions/session-secrets.ts'
import type { SharedState } from '../state/shared/shared-state.ts'
import { runSignalListeners } from './app/app-signals.ts'
import type { Connections } from './connections/connections.ts'
import { Drain, type DrainOptions } from './connections/drain.ts'
import { writeHeapSnapshot } from './diagnostics.ts'
import type { PrimaryChannel } from './primary-client.ts'

/** When the primary is dead, no process waits for this worker, and everything must be gone within 4 s. */
const ORPHAN = { graceMs: 1000, lingerMs: 500, deadlineMs: 3000, portCloses: true }
/** The primary answers at once; this catches a dead one. */
const ANSWER_TIMEOUT_MS = 1000

export interface ShutdownParts {
  connections: Connections
  /** Aborted when the drain begins. */
  draining: AbortController
  app: Pick<FastifyInstance, 'close'>
  shared: Pick<SharedState, 'ended' | 'stop'>
  sessionSecrets: Pick<SessionSecrets, 'stop'>
  redis: Pick<RedisConnection, 'stop'>
  channel: PrimaryChannel
  /** Sends the counters that changed since the last heartbeat, so that the primary keeps them. */
  sendCounters: () => Promise<void>
  /** Undefined: nothing is traced. */
  telemetry: { end(): Promise<void> } | undefined
  log: Logger
  /** This process: whether it has a primary, and its end. */
  process: { readonly connected: boolean; exit(code: number): void }
}

/** Ends this worker: drains it, closes everything in order, and exits with code 0. */
export class Shutdown {
  readonly #parts: ShutdownParts
  #drain: Drain | undefined

  constructor(parts: ShutdownParts) {
    this.#parts = parts
  }

  /** @param snapshot file for a heap snapshot, which is written when the worker serves no client any more */
  start(options: DrainOptions, snapshot?: string): void {
    if (!this.#drain) void this.#run(options, snapshot)
  }

  /** Ends within 4 s, because the primary is gone. */
  startAsOrphan(): void {
    this.#drain?.primaryDied()
    if (this.#drain) this.#drain.hurry(ORPHAN)
    else void this.#run(ORPHAN)
  }

  /** See {@link Drain.limit}. */
  limit(ms: number): void {
    this.#drain?.limit(ms)
  }

  /** Goes on without transfers and with new deadlines, because the service stops. */
  hurry(options: DrainOptions): void {
    this.#drain?.hurry(options)
  }

  /** @returns what this worker waits for; undefined unless it lingers */
  waitsFor(): WaitsFor | undefined {
    return this.#drain?.waitsFor()
  }

  /** See {@link Drain.onTransferred}. */
  onTransferred(id: number, lost?: boolean): void {
    this.#drain?.onTransferred(id, lost)
  }

  async #run(options: DrainOptions, snapshot?: string): Promise<void> {
    const { connections, draining, app, shared, sessionSecrets, redis, channel, telemetry, log, process } = this.#parts
    const drain = new Drain(connections, options)
    this.#drain = drain
    draining.abort()
    await connections.acceptor.stop(options.portCloses)
    const [report] = await Promise.all([drain.run(), shared.ended(options.deadlineMs)])
    const { cuts, ...stats } = report
    log.info({ connections: stats, ...(cuts && { cuts }) }, 'drained')
    if (snapshot) await writeHeapSnapshot(snapshot).catch((error: unknown) => log.error({ err: error }, 'no snapshot'))
    if (process.connected) await channel.request('drained', report, ANSWER_TIMEOUT_MS).catch(() => {})
    // Clients that wait for the primary still get their answer: it may be about this very worker.
    await drain.allClosed
    await this.#flush()
    allowClosing()
    // They may end the process.
    await runSignalListeners(log)
    await app.close().catch((error: unknown) => log.warn({ err: error }, 'closing the app'))
    shared.stop()
    sessionSecrets.stop()
    redis.stop()
    await telemetry?.end()
    await this.#flush()
    process.exit(0)
  }

  /** Sends what the primary must know. Messages keep their order: without an answer it might see the exit first. */
  async #flush(): Promise<void> {
    const { channel, sendCounters, process } = this.#parts
    await sendCounters()
    if (process.connected) await channel.request('request-counts', {}, ANSWER_TIMEOUT_MS).catch(() => {})
  }
}
