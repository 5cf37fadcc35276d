export class Waiter {
  #wake: (() => void) | undefined

  /** Resolves after so many ms, or when it is woken. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), ms)
      this.#wake = () => {
        this.#wake = undefined
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** @returns whether it was in a pause */
  wake(): boolean {
    const wake = this.#wake
    wake?.()
    return wake !== undefined
  }
}

/** The callers of this process that wait for locks. Their order is kept in Redis; this only saves the time of a poll. */
export class LockWaiters {
  readonly #byKey = new Map<string, Set<Waiter>>()

  /** Adds a waiter as the last one. */
  join(key: string): Waiter {
    const waiter = new Waiter()
    const waiters = this.#byKey.get(key) ?? new Set()
    this.#byKey.set(key, waiters.add(waiter))
    return waiter
  }

  leave(key: string, waiter: Waiter): void {
    const waiters = this.#byKey.get(key)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#byKey.delete(key)
  }

  /** Ends the pause of the waiter that came first: the lock is free. */
  wakeFirst(key: string): void {
    for (const waiter of this.#byKey.get(key) ?? []) if (waiter.wake()) return
  }
}
