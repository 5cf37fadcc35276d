import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Command } from 'ioredis'
import { StartupError, stateUnavailable } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { CommandErrors } from './command-errors.ts'
import { createClient, type RedisClient, retryDelay } from './redis-client.ts'
import { CLOSED, isOfServer, isUnsent, refusal } from './redis-errors.ts'
import { Keys } from './redis-keys.ts'

export type { RedisClient }

/** While Redis is away it is asked so often, by one probe at a time. */
const PROBE_MS = 500
/** When nobody has asked Redis anything for so long, a probe does: /readyz is right also when nothing goes on. */
const IDLE_MS = 2000
/** The pause before what may be asked twice is asked again. */
export const RETRY_MS = 10

/**
 * A worker's way to Redis, with the {@link CircuitBreaker} that a probe, an empty write, opens when it fails and closes when it
 * succeeds. While it is open, commands fail at once; probes go on, one at a time.
 */
export class RedisConnection extends CircuitBreaker {
  /** The one client of the worker: commands of a turn are pipelined by themselves. */
  readonly client: RedisClient
  /** The names of what this service has in Redis. */
  readonly keys: Keys
  /** How often a connection was made after the first. */
  reconnects = 0
  /** Told of every command that was sent. */
  onCommand: ((name: string, ms: number, failed: boolean) => void) | undefined
  readonly #create: (options: { forSubscriptions?: boolean }) => RedisClient
  #prepare: (client: RedisClient) => Promise<void> = async () => {}
  /** What the last connection failed with, if it said so. */
  #fault: Error | undefined
  #timer: NodeJS.Timeout | undefined
  #probing = false
  /** What is sent now is the probe. */
  #passing = false
  #askedAt = 0
  #onFirst: ((error?: Error) => void) | undefined
  readonly #errors: CommandErrors
  #stopped = false

  /**
   * @param url as REDIS_URL has it @param timeoutMs how long a command may take
   * @param options `ca`: certificates to trust, in PEM, for a URL that says rediss; `prefix`: as REDIS_PREFIX has it
   */
  constructor(url: string, timeoutMs: number, log: Logger, options: { ca?: string | undefined; prefix?: string } = {}) {
    super(timeoutMs, log)
    const { ca, prefix } = options
    this.keys = new Keys(prefix)
    this.#errors = new CommandErrors(log, timeoutMs, this.keys.prefix)
    this.#create = (more) => createClient(url, { timeoutMs, ca, ...more })
    this.client = this.#create({})
    this.#guard()
    this.#watch(this.client)
  }

  /** The number of the database; a Cluster has only 0. */
  get db(): number {
    return ('db' in this.client.options && this.client.options.db) || 0
  }

  /** A client of its own for subscriptions, to the same Redis; it has not connected yet, and does not subscribe again by itself. */
  subscriber(): RedisClient {
    return this.#create({ forSubscriptions: true })
  }

  /**
   * Connects, and goes up whenever a probe has succeeded and `prepare` has run. Resolves when Redis is up, or when it is
   * clear that it is away for now: a worker serves without it and says so.
   * @throws StartupError when Redis refuses what REDIS_URL says, or is not who it should be
   */
  async start(prepare: (client: RedisClient) => Promise<void>): Promise<void> {
    this.#prepare = prepare
    const first = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, 2 * this.timeoutMs)
      this.#onFirst = (error) => {
        clearTimeout(timer)
        this.#onFirst = undefined
        const why = error && refusal(error)
        if (why === undefined) return resolve()
        this.stop()
        reject(new StartupError(why))
      }
    })
    this.#connect()
    await first
  }

  /**
   * Asks what may be asked twice, again and again until Redis answers.
   * @throws HttpError 503 when it did not within `timeoutMs`; what was asked may have been done all the same
   */
  retryUntilTimeout<T>(ask: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let fault: unknown
      let late = false
      const refuse = () => {
        late = true
        reject(stateUnavailable(this.cause ?? fault))
      }
      if (this.away) return refuse()
      const timer = setTimeout(refuse, this.timeoutMs)
      const attempt = async () => {
        while (!late) {
          try {
            resolve(await ask())
            return clearTimeout(timer)
          } catch (error) {
            fault = error
            await sleep(RETRY_MS)
          }
        }
      }
      void attempt()
    })
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.client.disconnect()
  }

  /** Every command passes here, those of pipelines and scripts too. */
  #guard(): void {
    const client = this.client as { sendCommand(command: Command, ...rest: unknown[]): unknown }
    const send = client.sendCommand.bind(client)
    client.sendCommand = (command, ...rest) => {
      // Before the client is ready it refuses by itself, and what makes it ready must pass.
      if (this.circuit === 'open' && this.client.status === 'ready' && !this.#passing) {
        command.reject(this.cause ?? new Error('Redis is away'))
        return command.promise
      }
      const at = performance.now()
      this.#askedAt = at
      command.promise.then(
        () => this.onCommand?.(command.name, performance.now() - at, false),
        (error: Error) => {
          this.onCommand?.(command.name, performance.now() - at, true)
          if (this.up) this.#errors.note(command, error)
          this.#suspect(error)
        }
      )
      return send(command, ...rest)
    }
  }

  #watch(client: RedisClient): void {
    const on = client.on.bind(client) as (event: string, listener: (error?: Error) => void) => void
    let sentinelSaid: Error | undefined
    on('connect', () => {
      this.#fault = undefined
    })
    let connections = 0
    on('ready', () => {
      if (connections++ > 0) this.reconnects++
      void this.#probe()
    })
    on('sentinelError', (error) => {
      sentinelSaid = error
    })
    on('error', (error) => {
      const { lastNodeError } = error as { lastNodeError?: Error }
      const isOfSentinels = error?.message.startsWith('All sentinels') && sentinelSaid
      this.#fault = lastNodeError ?? (isOfSentinels || error!)
      this.#fail(this.#fault)
      // A handshake that failed in part, at SELECT say, would go on in the wrong database.
      if (client.status === 'connect') client.disconnect(true)
    })
    on('close', () => this.#fail(this.#fault ?? CLOSED))
    // A client that was told of a failover in the middle of connecting gives up for good.
    on('end', () => this.#after(retryDelay(1), () => this.#connect()))
    // Of a Cluster: one of its nodes.
    on('node error', (error) => {
      if (!isUnsent(error!)) this.#fault = error
      this.#suspect(error!)
    })
    on('-node', () => this.#suspect(CLOSED))
  }

  #connect(): void {
    this.client.connect().catch(() => {}) // 'error' and 'close' tell
  }

  /** Whether an error is about Redis or about one command only, a probe shows. */
  #suspect(error: Error): void {
    if (this.circuit === 'open' || this.client.status !== 'ready') return
    if (isOfServer(error)) void this.#probe()
  }

  async #probe(): Promise<void> {
    if (this.#probing || this.#stopped) return
    this.#probing = true
    try {
      if (this.client instanceof Cluster) await this.#connectNodes(this.client)
      await this.#write()
      if (this.circuit === 'open') {
        this.halfOpen()
        await this.#prepare(this.client)
      }
      this.#succeed()
    } catch (error) {
      this.#fail(isUnsent(error as Error) ? (this.#fault ?? CLOSED) : (error as Error))
    } finally {
      this.#probing = false
      this.#next()
    }
  }

  /** A Cluster sends nothing to a node that it is still connecting to, and connects with the first command only. */
  async #connectNodes(cluster: Cluster): Promise<void> {
    const fresh = cluster.nodes('master').filter((node) => node.status === 'wait')
    const connected = Promise.allSettled(fresh.map((node) => node.connect()))
    if (this.circuit === 'open') await connected
  }

  /**
   * A write that is refused like any other and changes nothing (XX), so that no append-only file and no replica hears of
   * it. Not by way of a pipeline, in which others would be, and which fails or succeeds as a whole.
   */
  #write(): Promise<unknown> {
    // A key that never exists. On a Cluster it is at the node that has the hits.
    const key = `{${this.keys.of('hits')}}:probe`
    const probe = new Command('set', [key, '1', 'XX', 'PX', '1'])
    this.#passing = true
    this.client.sendCommand(probe)
    this.#passing = false
    return probe.promise
  }

  /** The next probe. When there is no connection, the one after a new one. */
  #next(): void {
    if (this.client.status !== 'ready') return
    if (this.up) {
      this.#after(IDLE_MS, () => {
        if (performance.now() - this.#askedAt < IDLE_MS) this.#next()
        else void this.#probe()
      })
      return
    }
    this.#after(PROBE_MS, () => {
      // A failover has made a replica of it: the same name may lead to another server by now.
      if (this.client instanceof Cluster || !this.cause?.message.includes('READONLY')) return void this.#probe()
      this.#fault = this.cause
      this.client.disconnect(true)
    })
  }

  #after(ms: number, act: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) this.#timer = setTimeout(act, ms)
  }

  #succeed(): void {
    if (this.client.status !== 'ready') return
    this.#errors.confirm()
    this.close()
    this.#onFirst?.()
  }

  #fail(cause: Error): void {
    if (this.#stopped) return
    this.#errors.discard()
    this.open(cause)
    this.#onFirst?.(cause)
  }
}

/** Says so in the log when Redis, once it is full, may evict what has no TTL: the counters. */
export async function warnOfEviction(client: RedisClient, log: Logger): Promise<void> {
  // An ACL may forbid the question; there is nothing to say then.
  const info = await client.info('memory').catch(() => '')
  const [, policy] = /^maxmemory_policy:(allkeys-\S+)/m.exec(info) ?? []
  if (policy) log.warn({ policy }, 'Redis may evict counters when it is full: set maxmemory-policy to volatile-ttl')
}
