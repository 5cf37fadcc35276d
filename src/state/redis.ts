import { EventEmitter } from 'node:events'
import { Redis, type RedisOptions } from 'ioredis'
import { StartupError } from '../errors.ts'
import type { Logger } from '../log.ts'

/** Every key of ours begins so; `redis-cli get muster:hits` reads the counter. */
export const PREFIX = 'muster:'

/** What no waiting will mend: wrong credentials, no rights, a database that does not exist. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password|ERR DB index|ERR invalid DB)/

/** One pipelined connection a worker, and whether it is up. Emits `change` when that turns. */
export class RedisLink extends EventEmitter<{ change: [up: boolean] }> {
  readonly client: Redis
  readonly timeoutMs: number
  readonly #log: Logger
  #up = false
  /** When it went down, in ms of `performance.now()`; it starts down. */
  #downSince = performance.now()
  /** Why it is down: the last `error` event, since every command then fails with the same empty text. */
  #cause: Error | undefined

  /** @param url redis://, rediss:// or unix:///path @param timeoutMs how long a command may take */
  constructor(url: string, timeoutMs: number, log: Logger) {
    super()
    this.timeoutMs = timeoutMs
    this.#log = log
    const options = optionsFor(timeoutMs)
    this.client = url.startsWith('unix://') ? new Redis(url.slice('unix://'.length), options) : new Redis(url, options)
    this.client.on('error', (error: Error) => {
      if (this.#cause?.message !== error.message) log.warn({ err: error }, 'Redis')
      this.#cause = error
    })
    this.client.on('close', () => this.#set(false))
  }

  get up(): boolean {
    return this.#up
  }

  /** It has been away for longer than a command may take: trying again within one request is of no use. */
  get away(): boolean {
    return !this.#up && performance.now() - this.#downSince > this.timeoutMs
  }

  get cause(): Error | undefined {
    return this.#cause
  }

  /**
   * Goes up with every connection, once `prepare` has run on it. Resolves when Redis is up, or when it is clear that it
   * is away for now: a worker serves without it and says so.
   * @throws StartupError when Redis refuses what REDIS_URL says
   */
  async start(prepare: (client: Redis) => Promise<void>): Promise<void> {
    const ready = async () => {
      try {
        await prepare(this.client)
        this.#set(true)
      } catch (error) {
        this.#log.warn({ err: error }, 'Redis answers, but not as it should')
        this.client.disconnect(true)
      }
    }
    this.client.on('ready', () => void ready())
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, 2 * this.timeoutMs)
      const settle = (error?: Error) => {
        clearTimeout(timer)
        this.off('change', settle as () => void)
        this.client.off('error', onError)
        error ? reject(error) : resolve()
      }
      const onError = (error: Error) => {
        settle(
          REFUSED.test(error.message)
            ? new StartupError(`Redis refuses what REDIS_URL says: ${error.message}`)
            : undefined
        )
      }
      this.once('change', () => settle())
      this.client.on('error', onError)
    })
  }

  stop(): void {
    this.client.removeAllListeners('close')
    this.client.disconnect()
  }

  #set(up: boolean): void {
    if (this.#up === up) return
    this.#up = up
    if (up) this.#cause = undefined
    else this.#downSince = performance.now()
    this.#log[up ? 'info' : 'warn'](up ? 'Redis is up' : 'Redis is away')
    this.emit('change', up)
  }
}

/**
 * A command is sent at most once (ioredis' defaults count 10 for 5 lost replies), fails fast and clearly, and the
 * connection comes back by itself.
 */
function optionsFor(timeoutMs: number) {
  return {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: true,
    commandTimeout: timeoutMs,
    connectTimeout: timeoutMs,
    // A connection that is silent is given up with its first command: nobody waits behind those who waited.
    socketTimeout: timeoutMs,
    retryStrategy: (times: number) => Math.min(50 * 2 ** (times - 1), 1000) + Math.random() * 50,
    reconnectOnError: (error: Error) => /^(READONLY|LOADING|MASTERDOWN)/.test(error.message)
  } satisfies RedisOptions
}
