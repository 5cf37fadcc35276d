/** A port closes after this time even if connections come faster than they are accepted, in ms. */
const MAX_WAIT_MS = 1000
/** Connections that came while a longer turn of the event loop went on may wait already, in ms. */
const SHORT_TURN_MS = 0.5

/** Counts what this process accepts from a listening socket, which can then be closed when no connection waits: the kernel resets those. */
export class AcceptedConnections {
  #count = 0

  /** @returns `accept`, with a count */
  counted<T>(accept: (handle: T) => void): (handle: T) => void {
    return (handle) => {
      this.#count++
      accept(handle)
    }
  }

  /** Resolves when no connection waits in the kernel. To be followed by the end of the handle at once: others may come. */
  async noneWaits(): Promise<void> {
    const deadline = performance.now() + MAX_WAIT_MS
    for (let turn = performance.now(); turn < deadline; ) {
      const [before, startedAt] = [this.#count, turn]
      // libuv accepts one connection in each turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve))
      turn = performance.now()
      if (this.#count === before && turn - startedAt < SHORT_TURN_MS) return
    }
  }
}
