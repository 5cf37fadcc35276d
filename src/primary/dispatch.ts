import { createServer, type Server } from 'node:net'
import type { Logger } from '../log.ts'

/** A worker that can take connections. */
export interface Target {
  readonly id: number
  /** Hands the connection on; false when the worker cannot be reached any more. The handle stays open here. */
  give(connection: { id: number; idleMs?: number }, handle: unknown): Promise<boolean>
  /** Resolves when the worker has dealt with all it was given before; never rejects. False when it does not answer. */
  heard(): Promise<boolean>
}

/** Node's TCP handle of a connection. */
interface TcpHandle {
  close(): void
}
type ListeningServer = Server & { _handle: { onconnection: (status: number, handle: TcpHandle | undefined) => void } }

interface Connection {
  readonly id: number
  readonly handle: TcpHandle
  /** Closes our copy of the descriptor; the worker's stays. */
  readonly release: () => void
  /** What is left of its keep-alive time, in ms; undefined for a fresh one. */
  readonly idleMs?: number
  at?: Target | undefined
  /** When it was given to that worker. */
  since?: number
  /** A worker that could not be reached with it. */
  avoid?: number
}

/** How many connections may be unanswered at one worker: one that hangs is passed over instead of piling them up. */
const WINDOW = 4
const BACKLOG = 1024
/** A connection unanswered for so long makes the primary ask whether it arrived, in ms. */
const OVERDUE_MS = 1000

/**
 * Connections on their way to a worker: fresh ones from the port, idle ones from a worker that leaves. The primary keeps
 * its copy of each descriptor until a worker says that it serves it, and gives it to another when the first one dies.
 */
export class Dispatcher {
  readonly #targets: () => readonly Target[]
  readonly #log: Logger
  readonly #travelling = new Map<number, Connection>()
  readonly #unanswered = new Map<number, number>()
  readonly #waiting: Connection[] = []
  #server: Server | undefined
  #lastId = 0
  #turn = 0
  #onEmpty: (() => void) | undefined
  #watch: NodeJS.Timeout | undefined
  readonly #asked = new Set<Target>()
  /** Connections given to another worker because the first one left before it served them. */
  redispatched = 0
  /** Connections closed because no worker was left to take them, or because they did not arrive at one. */
  lost = 0

  /** @param targets the workers that can take connections at this moment */
  constructor(targets: () => readonly Target[], log: Logger) {
    this.#targets = targets
    this.#log = log
  }

  /** Takes the port; connections wait here until a worker is ready. Resolves with the port, rejects as `listen` does. */
  listen(port: number, host: string): Promise<number> {
    const server = createServer() as ListeningServer
    this.#server = server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port, host, backlog: BACKLOG }, () => {
        server.off('error', reject)
        // As node's own round robin does: the bare handle is passed on, and no net.Socket is ever made of it here.
        server._handle.onconnection = (status, handle) => {
          if (handle) this.#dispatch({ id: ++this.#lastId, handle, release: () => handle.close() })
          else this.#log.error({ status }, 'a connection could not be accepted')
        }
        resolve((server.address() as { port: number }).port)
      })
    })
  }

  /** Accepts no more; resolves when every connection accepted so far is at a worker. */
  async close(): Promise<void> {
    // Right after the loop has accepted all there was: what is in the kernel's queue when the port closes is reset.
    await new Promise((resolve) => setImmediate(resolve))
    this.#server?.close()
    this.#server = undefined
    if (this.#travelling.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve
      })
    }
  }

  /** Takes over an idle connection from a worker that leaves; `moved` is called when it is at another, or lost. */
  take(handle: TcpHandle, idleMs: number, moved: () => void): void {
    const release = () => {
      handle.close()
      moved()
    }
    this.#dispatch({ id: ++this.#lastId, handle, idleMs, release })
  }

  /** A worker says that it serves the connection. */
  adopted(id: number): void {
    const connection = this.#travelling.get(id)
    if (!connection) return
    this.#answered(connection)
    this.#end(connection)
    this.flush()
  }

  /** A worker is gone: what it was given and did not answer goes to others. */
  gone(workerId: number): void {
    this.#unanswered.delete(workerId)
    for (const connection of this.#travelling.values()) if (connection.at?.id === workerId) this.#again(connection)
  }

  /** Gives what waits to workers; to be called when one has become ready. */
  flush(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const connection = this.#waiting[i]!
      const target = this.#choose(connection)
      if (target) {
        this.#waiting.splice(i, 1)
        this.#give(connection, target)
      } else if (connection.avoid === undefined) return
      else i++
    }
  }

  /** No worker will come any more: what is on its way is closed. */
  giveUp(): void {
    for (const connection of [...this.#travelling.values()]) {
      this.lost++
      this.#end(connection)
    }
    this.#waiting.length = 0
  }

  #dispatch(connection: Connection): void {
    this.#travelling.set(connection.id, connection)
    this.#watch ??= setInterval(() => this.#askOverdue(), OVERDUE_MS).unref()
    this.#waiting.push(connection)
    this.flush()
  }

  #again(connection: Connection): void {
    this.redispatched++
    connection.at = undefined
    this.#waiting.unshift(connection)
    this.flush()
  }

  #give(connection: Connection, target: Target): void {
    const { id, handle, idleMs } = connection
    connection.at = target
    connection.since = performance.now()
    this.#unanswered.set(target.id, (this.#unanswered.get(target.id) ?? 0) + 1)
    void target.give(idleMs === undefined ? { id } : { id, idleMs }, handle).then((given) => {
      if (given || connection.at !== target || !this.#travelling.has(id)) return
      this.#answered(connection)
      connection.avoid = target.id
      this.#again(connection)
    })
  }

  /** The worker with the fewest unanswered connections; round robin among equals. */
  #choose(connection: Connection): Target | undefined {
    const targets = this.#targets()
    let best: Target | undefined
    let least = WINDOW
    for (let i = 0; i < targets.length; i++) {
      const target = targets[(this.#turn + i) % targets.length]!
      const unanswered = this.#unanswered.get(target.id) ?? 0
      if (unanswered < least && target.id !== connection.avoid) {
        least = unanswered
        best = target
      }
    }
    this.#turn++
    return best
  }

  #answered(connection: Connection): void {
    const id = connection.at?.id
    const unanswered = id === undefined ? undefined : this.#unanswered.get(id)
    if (id !== undefined && unanswered !== undefined) this.#unanswered.set(id, unanswered - 1)
  }

  #end(connection: Connection): void {
    this.#travelling.delete(connection.id)
    connection.release()
    if (this.#travelling.size > 0) return
    clearInterval(this.#watch)
    this.#watch = undefined
    this.#onEmpty?.()
  }

  /**
   * A worker that is out of descriptors gets none with the message, and node drops both. Such a connection would stay
   * unanswered for ever, and with it a place in its worker's window. One that hangs may still serve it: it is left alone.
   */
  #askOverdue(): void {
    const before = performance.now()
    for (const { at, since } of this.#travelling.values()) {
      if (!at || this.#asked.has(at) || before - (since ?? before) < OVERDUE_MS) continue
      this.#asked.add(at)
      void at.heard().then((heard) => {
        this.#asked.delete(at)
        if (heard) this.#drop(at, before)
      })
    }
  }

  /** What a worker was given before, and has not answered though it has heard everything since, did not arrive. */
  #drop(target: Target, before: number): void {
    for (const connection of [...this.#travelling.values()]) {
      if (connection.at !== target || (connection.since ?? before) >= before) continue
      this.lost++
      this.#log.error({ worker: target.id }, 'a connection did not arrive at its worker: is it out of descriptors?')
      this.#answered(connection)
      this.#end(connection)
    }
    this.flush()
  }
}
