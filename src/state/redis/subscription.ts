import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from './redis-connection.ts'

/**
 * This worker's subscription to Redis channels, on a connection of its own: ioredis does not mix commands and subscriptions. One
 * connection per host would do, but it would be the primary's, and the primary loads no Redis client.
 */
export class Subscription {
  readonly #client: RedisClient
  readonly #off: boolean
  readonly #log: Logger
  readonly #listeners = new Map<string, (message: string) => unknown>()
  /** Called after each (re)subscription, because messages that were published before are lost. Its errors are ignored. */
  onSubscribed: () => Promise<void> = async () => {}
  #up = false
  #settle = () => {}
  #lastRefusal = ''

  constructor(connection: RedisConnection, log: Logger) {
    this.#log = log
    this.#client = connection.createSubscriber()
    this.#off = connection.isOff
    this.#client.on('message', (channel: string, message: string) => void this.#receive(channel, message))
    this.#client.on('ready', () => void this.#subscribe())
    this.#client.on('close', () => {
      this.#up = false
      this.#settle()
    })
    // The RedisConnection to the same Redis logs the outage.
    this.#client.on('error', () => {})
  }

  /** Whether messages arrive. */
  get up(): boolean {
    return this.#up
  }

  /**
   * Sets the listener of a channel; to be called before {@link start}.
   * @param channel see {@link channelOf}
   */
  on(channel: string, listener: (message: string) => unknown): void {
    this.#listeners.set(channel, listener)
  }

  /** Resolves when the channels are subscribed, or when that is not possible for now; it then happens later by itself. */
  async start(): Promise<void> {
    if (this.#off) return
    const settled = new Promise<void>((resolve) => {
      this.#settle = resolve
    })
    this.#client.connect().catch(() => {})
    await settled
  }

  /** Detects a silent connection, which is closed with its first unanswered PING; to be called at regular intervals. */
  ping(): void {
    if (this.#client.status !== 'ready') return
    if (this.#up) this.#client.ping().catch(() => {})
    else void this.#subscribe()
  }

  stop(): void {
    this.#client.disconnect()
  }

  async #receive(channel: string, message: string): Promise<void> {
    try {
      await this.#listeners.get(channel)?.(message)
    } catch (error) {
      this.#log.warn({ err: error, channel }, 'invalid message from a Redis channel')
    }
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#client.subscribe(...this.#listeners.keys())
      this.#up = true
    } catch (error) {
      this.#logRefusal(error as Error)
    }
    if (this.#up) await this.onSubscribed().catch(() => {})
    this.#settle()
  }

  /** Each refusal is logged once; an error of the connection is logged by RedisConnection. */
  #logRefusal(error: Error): void {
    const isNew = error.message !== this.#lastRefusal
    this.#lastRefusal = error.message
    if (error.name === 'ReplyError' && isNew) this.#log.warn({ err: error }, 'Redis refuses the subscription')
  }
}

/** Returns the name of a channel. Channels belong to the whole server, so the name contains the number of the database. */
export function channelOf(connection: RedisConnection, name: string): string {
  return connection.keys.of(`${name}@${connection.db}`)
}
