import type { Logger } from '../../common/log.ts'
import type { Origin } from '../../ipc/messages.ts'
import type { AcceptGate } from '../../net/accept-gate.ts'
import { type BalancingPolicy, type Candidate, type RoutingHint, roundRobin, sticky } from './balancing.ts'
import type { ClientAddresses, ClientHandle } from './client-address.ts'

/** What a worker is told of a connection; `head` is what was read of it on its way, in base64. */
export interface ConnectionOffer {
  id: number
  idleMs?: number
  head?: string
  origin?: Origin
}

/** A worker that can take connections. */
export interface RoutingTarget extends Candidate {
  /** Hands the connection on; false when the worker cannot be reached any more. The handle stays open here. */
  offer(connection: ConnectionOffer, handle: unknown): Promise<boolean>
  room?: number | undefined
  /** Resolves when the worker has dealt with all it was given before; never rejects. False when it does not answer. */
  responds(): Promise<boolean>
}

/** Node's TCP handle of a connection. */
export interface TcpHandle extends ClientHandle {
  close(): void
}

interface Connection extends RoutingHint {
  readonly given: ConnectionOffer
  readonly handle: TcpHandle
  /** Closes our copy of the descriptor; the worker's stays. @param lost no worker has it */
  readonly release: (lost: boolean) => void
  at: RoutingTarget | undefined
  /** When it was given to that worker. */
  since: number
  avoid: number | undefined
}

/** All fields at once: objects that grow cost ten times as much on Node 20. */
const createConnection = (
  given: ConnectionOffer,
  handle: TcpHandle,
  release: Connection['release'],
  wish: RoutingHint = {}
): Connection => {
  const { client, slot } = wish
  return { given, handle, release, client, slot, at: undefined, since: 0, avoid: undefined }
}

/** A connection unanswered for so long makes the primary ask whether it arrived, in ms. */
const OVERDUE_MS = 1000

/**
 * Connections on their way to a worker: fresh ones from the port, idle ones from a worker that leaves. The primary keeps
 * its copy of each descriptor until a worker says that it serves it, and gives it to another when the first one dies.
 */
export class ConnectionRouter {
  readonly #targets: () => readonly RoutingTarget[]
  readonly #log: Logger
  readonly #clients: ClientAddresses | undefined
  readonly #choose: BalancingPolicy
  readonly #travelling = new Map<number, Connection>()
  readonly #load = { unanswered: new Map<number, number>(), silent: new Set<number>(), turn: 0 }
  readonly #waiting: Connection[] = []
  #lastId = 0
  #onEmpty: (() => void) | undefined
  #watch: NodeJS.Timeout | undefined
  /** Is told how many connections are under way, and stops accepting when they are too many. */
  gate: AcceptGate | undefined
  /** Connections given to another worker because the first one left before it served them. */
  rerouted = 0
  /** Connections closed because no worker was left to take them. */
  lost = 0

  /**
   * @param targets the workers that can take connections at this moment
   * @param clients tells one client from another, where each is to get the same worker every time
   */
  constructor(targets: () => readonly RoutingTarget[], log: Logger, clients?: ClientAddresses) {
    this.#targets = targets
    this.#log = log
    this.#clients = clients
    this.#choose = clients ? sticky : roundRobin
  }

  /** A connection has been accepted; it waits here until a worker is ready. @param admin at ADMIN_PORT */
  accept(handle: TcpHandle, admin = false): void {
    const given = { id: ++this.#lastId, ...(admin && { origin: { admin } }) }
    const connection = createConnection(given, handle, () => handle.close())
    if (this.#clients && !admin) this.#find(connection, this.#clients)
    else this.#dispatch(connection)
  }

  /** Resolves when every connection accepted so far is at a worker. */
  async settled(): Promise<void> {
    if (this.#travelling.size === 0) return
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Takes over an idle connection from the worker of a slot; `moved` is called when it is at another, or lost. */
  transfer(
    handle: TcpHandle,
    { idleMs, origin, slot }: { idleMs: number; origin?: Origin | undefined; slot: number },
    moved: (lost: boolean) => void
  ): void {
    const release = (lost: boolean) => {
      handle.close()
      moved(lost)
    }
    const wish = { slot, client: this.#clients?.of(handle, origin?.client?.address) }
    const given = { id: ++this.#lastId, idleMs, ...(origin && { origin }) }
    this.#dispatch(createConnection(given, handle, release, wish))
  }

  /** A worker says that it serves the connection; only the one that was given it can. */
  accepted(id: number, workerId: number): void {
    const connection = this.#travelling.get(id)
    if (connection?.at?.id !== workerId) return
    this.#answered(connection)
    this.#end(connection)
    this.flush()
  }

  /** A worker is gone: what it was given and did not answer goes to others. */
  workerExited(workerId: number): void {
    this.#load.unanswered.delete(workerId)
    this.#load.silent.delete(workerId)
    for (const connection of this.#travelling.values()) if (connection.at?.id === workerId) this.#again(connection)
  }

  /** Gives what waits to workers; to be called when one has become ready. */
  flush(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const connection = this.#waiting[i]!
      const target = this.#choose(this.#targets(), this.#load, connection)
      this.#load.turn++
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
      this.#lose(connection)
    }
    this.#waiting.length = 0
  }

  #find(connection: Connection, clients: ClientAddresses): void {
    const { given, handle } = connection
    this.#travelling.set(given.id, connection)
    this.gate?.update(this.#travelling.size)
    clients.find(handle, (found) => {
      if (!found) return this.#end(connection)
      const { head, release = connection.release } = found
      this.#dispatch(createConnection(head === undefined ? given : { ...given, head }, handle, release, found))
    })
  }

  #dispatch(connection: Connection): void {
    this.#travelling.set(connection.given.id, connection)
    this.gate?.update(this.#travelling.size)
    this.#watch ??= setInterval(() => this.#askOverdue(), OVERDUE_MS).unref()
    this.#waiting.push(connection)
    this.flush()
  }

  #again(connection: Connection): void {
    this.rerouted++
    connection.at = undefined
    this.#waiting.unshift(connection)
    this.flush()
  }

  #give(connection: Connection, target: RoutingTarget): void {
    const { given, handle } = connection
    const { unanswered } = this.#load
    connection.at = target
    connection.since = performance.now()
    unanswered.set(target.id, (unanswered.get(target.id) ?? 0) + 1)
    void target.offer(given, handle).then((gave) => {
      if (gave || connection.at !== target || !this.#travelling.has(given.id)) return
      this.#answered(connection)
      connection.avoid = target.id
      this.#again(connection)
    })
  }

  #answered(connection: Connection): void {
    const id = connection.at?.id
    const unanswered = id === undefined ? undefined : this.#load.unanswered.get(id)
    if (id !== undefined && unanswered !== undefined) this.#load.unanswered.set(id, unanswered - 1)
  }

  #lose(connection: Connection): void {
    this.lost++
    this.#end(connection, true)
  }

  #end(connection: Connection, lost = false): void {
    this.#travelling.delete(connection.given.id)
    connection.release(lost)
    this.gate?.update(this.#travelling.size)
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
    const { silent } = this.#load
    for (const { at, since } of this.#travelling.values()) {
      if (!at || silent.has(at.id) || before - since < OVERDUE_MS) continue
      silent.add(at.id)
      void at.responds().then((heard) => {
        silent.delete(at.id)
        if (heard) this.#drop(at, before)
        this.flush()
      })
    }
  }

  /** What a worker was given before, and has not answered though it has heard everything since, did not arrive. */
  #drop(target: RoutingTarget, before: number): void {
    const missing = [...this.#travelling.values()].filter(({ at, since }) => at === target && since < before)
    if (missing.length === 0) return
    // Until it says otherwise; its next heartbeat does.
    target.room = 0
    this.#log.warn(
      { worker: target.id, connections: missing.length },
      'connections did not arrive at their worker, and are given again: is it out of file descriptors?'
    )
    for (const connection of missing) {
      this.#answered(connection)
      this.#again(connection)
    }
  }
}
