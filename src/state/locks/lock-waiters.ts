/** A caller that waits for a lock. */
export class LockWaiter {
  #wake: (() => void) | undefined

  /** Resolves after this time, or when {@link wake} is called. */
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

  /** Ends the pause. @returns whether there was one */
  wake(): boolean {
    const wake = this.#wake
    wake?.()
    return wake !== undefined
  }
}

/** The callers of this process that wait for locks. Redis keeps their order; waking them here only saves the time of a poll. */
export class LockWaiters {
  readonly #byKey = new Map<string, Set<LockWaiter>>()

  /** Adds a waiter behind the others. */
  join(key: string): LockWaiter {
    const waiter = new LockWaiter()
    const waiters = this.#byKey.get(key) ?? new Set()
    this.#byKey.set(key, waiters.add(waiter))
    return waiter
  }

  leave(key: string, waiter: LockWaiter): void {
    const waiters = this.#byKey.get(key)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#byKey.delete(key)
  }

  /** Ends the pause of the first waiter that is in one: the lock is free. */
  wakeFirst(key: string): void {
    for (const waiter of this.#byKey.get(key) ?? []) {
      if (waiter.wake()) return
    }
  }
}
