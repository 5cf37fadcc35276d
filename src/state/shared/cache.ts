interface Entry<V> {
  value: Promise<V>
  /** In ms of `performance.now()`; Infinity while the value is being made. */
  expires: number
}

export interface CacheOptions {
  /** Entries at most; the one that was not asked for longest goes first. */
  max: number
  /** How long an entry counts, in ms, from the moment on when its value was there. */
  ttlMs: number
}

/** What this worker has computed before. Others have their own; what must be the same for all belongs into Redis. */
export class Cache<V> {
  readonly #options: CacheOptions
  /** The one that was asked for last comes last. */
  readonly #entries = new Map<string, Entry<V>>()

  constructor(options: CacheOptions) {
    const { max, ttlMs } = options
    if (!(Number.isInteger(max) && max >= 1 && ttlMs > 0)) {
      throw new Error(`a cache needs a max of 1 or more and a ttlMs above 0, not ${max} and ${ttlMs}`)
    }
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * What is there, or what `make` gives, which is then kept. Callers that ask while it is being made share it, however long
   * that takes, and share its error, which is not kept. What was begun before {@link clear} is never kept after it.
   */
  get(key: string, make: () => V | Promise<V>): Promise<V> {
    const known = this.#entries.get(key)
    this.#entries.delete(key)
    if (known && known.expires > performance.now()) {
      this.#entries.set(key, known)
      return known.value
    }
    const entry: Entry<V> = { value: (async () => make())(), expires: Number.POSITIVE_INFINITY }
    entry.value.then(
      () => {
        entry.expires = performance.now() + this.#options.ttlMs
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key)
      }
    )
    this.#entries.set(key, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#options.max) this.#entries.delete(oldest!)
    return entry.value
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  /** This worker's only; the command `cache-clear` does it everywhere. */
  clear(): void {
    this.#entries.clear()
  }
}
