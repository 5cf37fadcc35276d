interface Entry<V> {
  value: Promise<V>
  /** In ms of `performance.now()`; Infinity while the value is computed. */
  expires: number
}

export interface CacheOptions {
  /** Most entries; the least recently used one is removed first. */
  max: number
  /** Life of an entry in ms, from the moment when its value was there. */
  ttlMs: number
}

/** A cache in the memory of this worker. Each worker has its own; values that must be the same everywhere belong in Redis. */
export class Cache<V> {
  readonly #options: CacheOptions
  /** The least recently used entry is the first one. */
  readonly #entries = new Map<string, Entry<V>>()

  /** @throws Error when an option is not valid */
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
   * Returns the cached value, or calls `compute` and caches its result. Callers that ask during `compute` share its result,
   * however long it takes, and share its error, which is not cached. A result is not cached if {@link clear} was called meanwhile.
   */
  get(key: string, compute: () => V | Promise<V>): Promise<V> {
    const known = this.#entries.get(key)
    this.#entries.delete(key)
    if (known && known.expires > performance.now()) {
      this.#entries.set(key, known)
      return known.value
    }
    const entry: Entry<V> = { value: (async () => compute())(), expires: Number.POSITIVE_INFINITY }
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

  /** Removes every entry in this worker. The command `cache-clear` does so in every worker. */
  clear(): void {
    this.#entries.clear()
  }
}
