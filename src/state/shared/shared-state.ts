import type { Logger } from '../../common/log.ts'
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
import { Locks, type LocksDeps } from './locks.ts'
import { Settings } from './settings.ts'

/** Topics that begin so are the service's own. */
const SETTINGS = 'muster:settings'
const CACHE_CLEAR = 'muster:cache-clear'
const BEAT_MS = 1000

/** `app.shared`: every way in which workers share state. What routes call may be taken out of it: `const { lock } = app.shared`. */
export class SharedState {
  readonly hits: Counter
  readonly settings: Settings
  /** What runs on one worker of all hosts. */
  readonly lock: Locks['lock']
  readonly once: Locks['once']
  readonly every: Locks['every']
  readonly #counters: Counters
  readonly #locks: Locks
  readonly #broadcasts: Broadcasts
  readonly #subscription: Subscription
  readonly #caches = new Map<string, Cache<unknown>>()
  #beat: NodeJS.Timeout | undefined

  constructor(deps: Omit<BroadcastsDeps, 'subscription'> & LocksDeps & { log: Logger }) {
    const { link, log } = deps
    this.#subscription = new Subscription(link, log)
    this.#counters = new Counters(link)
    this.hits = this.#counters.get('hits')
    this.#locks = new Locks(deps)
    this.lock = this.#locks.lock
    this.once = this.#locks.once
    this.every = this.#locks.every
    this.settings = new Settings(link, this.#subscription, log)
    this.#broadcasts = new Broadcasts({ ...deps, subscription: this.#subscription })
    this.onBroadcast(SETTINGS, async (revision) => {
      if (revision !== this.settings.revision) await this.settings.read()
    })
    this.onBroadcast(CACHE_CLEAR, () => {
      for (const cache of this.#caches.values()) cache.clear()
    })
  }

  /**
   * Hears what others announce, from now on. Resolves when it does, or when Redis is away for now.
   * @param beatMs how often to see that nothing was missed; 0: never
   */
  async start(beatMs = BEAT_MS): Promise<void> {
    await this.#subscription.start()
    this.#locks.open()
    if (beatMs === 0) return
    this.#beat = setInterval(() => {
      this.#subscription.beat()
      this.settings.check().catch(() => {})
    }, beatMs).unref()
  }

  /** Resolves when nothing runs any more under a name, or at the deadline. */
  ended(deadlineMs: number): Promise<void> {
    return this.#locks.ended(deadlineMs)
  }

  stop(): void {
    clearInterval(this.#beat)
    this.#subscription.stop()
  }

  /** The counter of this name, as exact as `hits`. @throws TypeError when the name is none */
  readonly counter = (name: string): Counter => this.#counters.get(name)

  /** Runs what {@link onBroadcast} was given, in every worker of this host or of all, this one included. */
  readonly broadcast = (
    topic: string,
    payload: unknown = null,
    options: BroadcastOptions = {}
  ): Promise<BroadcastResult> => this.#broadcasts.send(topic, payload, options)

  /** @returns ends it */
  readonly onBroadcast = (topic: string, handler: BroadcastHandler): (() => void) => this.#broadcasts.on(topic, handler)

  /** What another worker has broadcast. Rejects when a handler fails. */
  deliver(...message: Parameters<Broadcasts['deliver']>): Promise<void> {
    return this.#broadcasts.deliver(...message)
  }

  /** A cache of this worker, which `cache-clear` empties in every worker. */
  readonly cache = <V>(name: string, options: CacheOptions): Cache<V> => {
    if (this.#caches.has(name)) throw new Error(`there is a cache "${name}" already`)
    const cache = new Cache<V>(options)
    this.#caches.set(name, cache as Cache<unknown>)
    return cache
  }

  /** Empties every cache of every worker of all hosts. */
  clearCaches(): Promise<BroadcastResult> {
    return this.broadcast(CACHE_CLEAR, null, { scope: 'all' })
  }

  /** Sets it, and then sees to it that every worker of this host has it. */
  async setEverywhere(key: string, value: unknown): Promise<BroadcastResult> {
    await this.settings.set(key, value)
    return this.broadcast(SETTINGS, this.settings.revision)
  }
}
