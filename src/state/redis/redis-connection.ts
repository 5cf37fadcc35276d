import type { Command } from 'ioredis'
import { HttpError, noRedis, StartupError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { ConfirmationReport } from '../durability/confirmation-report.ts'
import { ConfirmedWrites } from '../durability/confirmed-writes.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { CommandErrors } from './command-errors.ts'
import { type ClientOptions, createClient, type RedisClient } from './redis-client.ts'
import { misconfiguration, noteOutage } from './redis-errors.ts'
import { Keys } from './redis-keys.ts'
import { RedisMonitor } from './redis-monitor.ts'

export type { RedisClient }

/** A command on its way to Redis. */
export type SentCommand = Pick<Command, 'name' | 'promise'>

export interface ConnectionOptions {
  /** Certificates to trust, in PEM, for a `rediss:` URL; undefined: the ones that Node trusts. */
  ca?: string | undefined
  /** As in REDIS_PREFIX; default `muster:`. */
  prefix?: string
  /** There is no Redis: nothing connects, and every command fails with HttpError 501. */
  off?: boolean
  /** Number of replicas that must have a write before it is answered; 0, the default: none. */
  replicas?: number
}

/**
 * A worker's connection to Redis, with a {@link CircuitBreaker} that a {@link RedisMonitor} opens and closes. While the circuit
 * is open, commands fail at once.
 */
export class RedisConnection extends CircuitBreaker {
  /** The worker's only client for commands. Commands of one turn of the event loop leave together. */
  readonly client: RedisClient
  /** The client for what must be kept once it is answered. It is {@link client} unless replicas must confirm. */
  readonly writes: RedisClient
  /** What replicas have confirmed; undefined where they need not. */
  readonly confirmations: ConfirmationReport | undefined
  /** Names of the service's keys in Redis. */
  readonly keys: Keys
  /** Whether there is no Redis, as REDIS=off says. */
  readonly isOff: boolean
  /** Called after every command that was sent, with its name and duration. */
  onCommand: ((name: string, ms: number, failed: boolean) => void) | undefined
  /** Called before a command is sent. */
  onSend: ((command: SentCommand) => void) | undefined
  readonly #createClient: (options: Partial<ClientOptions>) => RedisClient
  readonly #confirmedWrites: ConfirmedWrites | undefined
  readonly #commandErrors: CommandErrors
  readonly #monitor: RedisMonitor
  #prepare: (client: RedisClient) => Promise<void> = async () => {}
  /** Called with the first outcome after {@link start}: an error, or undefined when Redis is up. */
  #onFirstOutcome: ((error?: Error) => void) | undefined

  /**
   * @param url as in REDIS_URL
   * @param timeoutMs longest time of a command
   */
  constructor(url: string, timeoutMs: number, log: Logger, options: ConnectionOptions = {}) {
    super(timeoutMs, log)
    const { ca, prefix, off = false, replicas = 0 } = options
    this.isOff = off
    this.keys = new Keys(prefix)
    this.#commandErrors = new CommandErrors(log, timeoutMs, this.keys.prefix)
    this.#createClient = (options) => createClient(url, { timeoutMs, ca, ...options })
    this.client = this.#createClient({})
    this.#monitor = new RedisMonitor(this.client, this.keys, this, {
      onRestored: () => {
        this.halfOpen()
        return this.#prepare(this.client)
      },
      onUp: () => this.#onUp(),
      onDown: (cause) => this.#onDown(cause)
    })
    this.confirmations = replicas > 0 ? new ConfirmationReport(log, replicas) : undefined
    this.#confirmedWrites =
      this.confirmations &&
      new ConfirmedWrites(this.#createClient({ forConfirmedWrites: true }), {
        replicas,
        timeoutMs,
        report: this.confirmations,
        key: this.keys.of('hits')
      })
    this.writes = this.#confirmedWrites?.client ?? this.client
    this.#interceptCommands(this.client)
    if (this.#confirmedWrites) this.#interceptCommands(this.#confirmedWrites.client)
  }

  override get away(): boolean {
    return this.isOff || super.away
  }

  override get cause(): Error | undefined {
    return this.isOff ? noRedis() : (super.cause ?? this.confirmations?.problem)
  }

  /** Number of connections after the first one. */
  get reconnects(): number {
    return Math.max(this.#monitor.connections - 1, 0)
  }

  /** The number of the database; always 0 in a Cluster. */
  get db(): number {
    return ('db' in this.client.options && this.client.options.db) || 0
  }

  /** Creates a client for subscriptions to the same Redis. It has not connected yet, and does not resubscribe by itself. */
  createSubscriber(): RedisClient {
    return this.#createClient({ forSubscriptions: true })
  }

  /**
   * Connects. Resolves when Redis is up, or when it is clear that Redis is away for now: the worker then serves without it.
   * @param prepare runs after an outage and at the start, each time before Redis counts as up
   * @throws StartupError when Redis refuses the credentials or the database of REDIS_URL, or has an untrusted certificate
   */
  async start(prepare: (client: RedisClient) => Promise<void>): Promise<void> {
    if (this.isOff) return
    this.#prepare = prepare
    const first = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, 2 * this.timeoutMs)
      this.#onFirstOutcome = (error) => {
        clearTimeout(timer)
        this.#onFirstOutcome = undefined
        const problem = error && misconfiguration(error)
        if (problem === undefined) return resolve()
        this.stop()
        reject(new StartupError(problem))
      }
    })
    this.#monitor.connect()
    await Promise.all([first, this.#confirmedWrites?.connect()])
  }

  stop(): void {
    this.#monitor.stop()
    this.#confirmedWrites?.stop()
  }

  /** Replaces `sendCommand` of a client, which every command goes through, also those of pipelines and scripts. */
  #interceptCommands(target: RedisClient): void {
    const client = target as { sendCommand(command: Command, ...rest: unknown[]): unknown }
    const send = client.sendCommand.bind(client)
    client.sendCommand = (command, ...rest) => {
      // Before the client is ready it refuses commands by itself, and the commands of its handshake must pass.
      const isOpen = this.circuit === 'open' && target.status === 'ready' && !this.#monitor.isSendingProbe
      if (isOpen || this.isOff) {
        const cause = this.cause ?? new Error('Redis is away')
        noteOutage(cause)
        command.reject(cause)
        return command.promise
      }
      const sentAt = performance.now()
      this.#monitor.lastSentAt = sentAt
      this.onSend?.(command)
      const sent = send(command, ...rest) as Promise<unknown>
      sent.then(
        () => this.onCommand?.(command.name, performance.now() - sentAt, false),
        (error: Error) => {
          noteOutage(error)
          this.onCommand?.(command.name, performance.now() - sentAt, true)
          this.#onCommandError(command, error)
        }
      )
      return sent
    }
  }

  #onCommandError(command: Command, error: Error): void {
    // Too few replicas: the report of confirmations logs that.
    if (error instanceof HttpError) return
    if (this.up) this.#commandErrors.record(command, error)
    this.#monitor.probeAfter(error)
  }

  #onUp(): void {
    this.#commandErrors.confirm()
    this.close()
    this.#onFirstOutcome?.()
  }

  #onDown(cause: Error): void {
    this.#commandErrors.discard()
    this.open(cause)
    this.#onFirstOutcome?.(cause)
  }
}
