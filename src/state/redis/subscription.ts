import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from './redis-connection.ts'

/**
 * What Redis announces to this worker, on a connection of its own: ioredis keeps commands and subscriptions apart. One
 * for all workers of a host would do, but it would be the primary's, and the primary loads no Redis client.
 */
export class Subscription {
  readonly #client: RedisClient
  readonly #log: Logger
  readonly #listeners = new Map<string, (message: string) => unknown>()
  /** Called whenever it has begun (again): what was announced before that was not heard. */
  onBegin: () => Promise<void> = async () => {}
  #up = false
  #settle = () => {}
  #refusal = ''

  constructor(link: RedisConnection, log: Logger) {
    this.#log = log
    this.#client = link.subscriber()
    this.#client.on('message', (channel: string, message: string) => void this.#hear(channel, message))
    this.#client.on('ready', () => void this.#subscribe())
    this.#client.on('close', () => {
      this.#up = false
      this.#settle()
    })
    this.#client.on('error', () => {}) // The link, whose Redis it is too, logs it.
  }

  get up(): boolean {
    return this.#up
  }

  /** @param channel as {@link channelOf} names it; before {@link start} */
  on(channel: string, listener: (message: string) => unknown): void {
    this.#listeners.set(channel, listener)
  }

  /** Resolves when it has begun, or cannot for now; it then begins by itself. */
  async start(): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      this.#settle = resolve
    })
    this.#client.connect().catch(() => {})
    await settled
  }

  /** To be called now and then: a connection that has gone silent is given up with its first unanswered PING. */
  beat(): void {
    if (this.#client.status !== 'ready') return
    if (this.#up) this.#client.ping().catch(() => {})
    else void this.#subscribe()
  }

  stop(): void {
    this.#client.disconnect()
  }

  async #hear(channel: string, message: string): Promise<void> {
    try {
      await this.#listeners.get(channel)?.(message)
    } catch (error) {
      this.#log.warn({ err: error, channel }, 'what came over Redis is not as it should be')
    }
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#client.subscribe(...this.#listeners.keys())
      this.#up = true
      await this.onBegin()
    } catch (error) {
      const { name, message } = error as Error
      if (name === 'ReplyError' && message !== this.#refusal) this.#log.warn({ err: error }, 'Redis does not subscribe')
      this.#refusal = message
    }
    this.#settle()
  }
}

/** Returns the name of a channel. Channels belong to a whole server, so the name has the number of the database in it. */
export function channelOf(link: RedisConnection, name: string): string {
  return link.keys.of(`${name}@${link.db}`)
}
