import type { Logger } from '../../common/log.ts'
import { Locks, type LocksDeps } from '../locks/locks.ts'
import { Subscription } from '../redis/subscription.ts'
import {
  type BroadcastHandler,
  type BroadcastOptions,
  type BroadcastResult,
  Broadcasts,
  type BroadcastsDeps
} from './broadcast.ts'
import { Cache, type CacheOptions } from './cache.ts'
import { type Counter, Counters } from './counters.ts'
import { Settings } from './settings.ts'

/** Topics of the service's own broadcasts. */
const SETTINGS = 'muster:settings'
const CACHE_CLEAR = 'muster:cache-clear'
const CHECK_MS = 1000

export type SharedStateDeps = Omit<BroadcastsDeps, 'subscription'> & LocksDeps & { log: Logger }

/** `app.shared`: every way in which workers share state. Routes may destructure its functions: `const { lock } = app.shared`. */
export class SharedState {
  /** The service's own counter. */
  readonly hits: Counter
  /** Values that operators change at run time. */
  readonly settings: Settings
  readonly #counters: Counters
  readonly #locks: Locks
  readonly #broadcasts: Broadcasts
  readonly #subscription: Subscription
  readonly #caches = new Map<string, Cache<unknown>>()
  #checkTimer: NodeJS.Timeout | undefined

  /** Runs a function while it holds a lock: see {@link Locks.lock}. */
  readonly lock: Locks['lock']
  /** Runs a function on one worker only: see {@link Locks.once}. */
  readonly once: Locks['once']
  /** Runs a function once per period on one worker: see {@link Locks.every}. */
  readonly every: Locks['every']

  constructor(deps: SharedStateDeps) {
    const { connection, log } = deps
    this.#subscription = new Subscription(connection, log)
    this.#counters = new Counters(connection)
    this.hits = this.#counters.get('hits')
    this.#locks = new Locks(deps)
    this.lock = this.#locks.lock
    this.once = this.#locks.once
    this.every = this.#locks.every
    this.settings = new Settings(connection, this.#subscription, log)
    this.#broadcasts = new Broadcasts({ ...deps, subscription: this.#subscription })
    this.onBroadcast(SETTINGS, async (revision) => {
      if (revision !== this.settings.revision) await this.settings.read()
    })
    this.onBroadcast(CACHE_CLEAR, () => {
      for (const cache of this.#caches.values()) cache.clear()
    })
  }

  /**
   * Subscribes to announcements and lets periodic jobs run. Resolves when it is subscribed, or when Redis is away for now.
   * @param checkMs how often to check that no announcement was missed; 0: never
   */
  async start(checkMs = CHECK_MS): Promise<void> {
    await this.#subscription.start()
    this.#locks.open()
    if (checkMs === 0) return
    this.#checkTimer = setInterval(() => {
      this.#subscription.ping()
      this.settings.check().catch(() => {})
    }, checkMs).unref()
  }

  /** Resolves when no function runs under a lock, `once` or `every`, or after `deadlineMs`. */
  ended(deadlineMs: number): Promise<void> {
    return this.#locks.ended(deadlineMs)
  }

  stop(): void {
    clearInterval(this.#checkTimer)
    this.#subscription.stop()
  }

  /** Returns the counter with this name, as exact as `hits`. @throws TypeError for an invalid name */
  readonly counter = (name: string): Counter => this.#counters.get(name)

  /**
   * Runs the handlers of {@link onBroadcast} in every worker of this host, or of all hosts; this worker included.
   * See {@link Broadcasts.send}.
   */
  readonly broadcast = (
    topic: string,
    payload: unknown = null,
    options: BroadcastOptions = {}
  ): Promise<BroadcastResult> => this.#broadcasts.send(topic, payload, options)

  /** Adds a handler for a topic. @returns a function that removes it */
  readonly onBroadcast = (topic: string, handler: BroadcastHandler): (() => void) => this.#broadcasts.on(topic, handler)

  /** Runs the handlers for a broadcast of another worker. Rejects when one fails. */
  deliver(...message: Parameters<Broadcasts['deliver']>): Promise<void> {
    return this.#broadcasts.deliver(...message)
  }

  /**
   * Creates a cache in this worker, which the command `cache-clear` empties in every worker.
   * @throws Error when the name is used, or an option is not valid
   */
  readonly cache = <V>(name: string, options: CacheOptions): Cache<V> => {
    if (this.#caches.has(name)) throw new Error(`there is a cache "${name}" already: use another name`)
    const cache = new Cache<V>(options)
    this.#caches.set(name, cache as Cache<unknown>)
    return cache
  }

  /** Empties every cache of every worker of all hosts. */
  clearCaches(): Promise<BroadcastResult> {
    return this.broadcast(CACHE_CLEAR, null, { scope: 'all' })
  }

  /** Sets a setting, and waits until every worker of this host has read it. */
  async setEverywhere(key: string, value: unknown): Promise<BroadcastResult> {
    await this.settings.set(key, value)
    return this.broadcast(SETTINGS, this.settings.revision)
  }
}
