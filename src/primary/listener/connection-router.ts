import type { Logger } from '../../common/log.ts'
import { transferStep } from '../../ipc/transfer-protocol.ts'
import type { AcceptGate } from '../../net/accept-gate.ts'
import { type BalancingPolicy, localFirst, roundRobin, sticky, successorFirst } from './balancing.ts'
import type { ClientAddresses } from './client-address.ts'
import {
  createConnection,
  type RoutedConnection,
  type RoutingTarget,
  type TcpHandle,
  type Transfer
} from './routed-connection.ts'
import { assign, type TrialShares } from './trial-routing.ts'

export interface ConnectionRouterOptions {
  /** Identifies clients, for sticky scheduling; undefined for round robin. */
  clients?: ClientAddresses | undefined
  /** Pauses accepting while too many connections are on their way. */
  gate?: AcceptGate | undefined
}

/** A connection that is unanswered for this long makes the primary ask its worker whether it arrived, in ms. */
const OVERDUE_MS = 1000

/**
 * Routes connections to workers: new ones from the port, and those of a worker that leaves. The primary keeps its copy of
 * each descriptor until a worker has accepted the connection, and offers it to another worker if the first one exits.
 */
export class ConnectionRouter {
  readonly #log: Logger
  readonly #clients: ClientAddresses | undefined
  readonly gate: AcceptGate | undefined
  readonly #choose: BalancingPolicy
  /** Every connection that no worker has accepted yet, by id. */
  readonly #pending = new Map<number, RoutedConnection>()
  /** The pending connections that are not offered to a worker. */
  readonly #waiting: RoutedConnection[] = []
  readonly #load = { unanswered: new Map<number, number>(), silent: new Set<number>(), turn: 0 }
  #targets: readonly RoutingTarget[] = []
  #lastId = 0
  #onEmpty: (() => void) | undefined
  #overdueTimer: NodeJS.Timeout | undefined
  /** Connections offered to another worker because the first one exited before it accepted them. */
  rerouted = 0
  /** False while the service stops: idle connections go back to the worker that sent them, which closes them in order. */
  takesTransfers = true
  /** Connections closed because no worker was left to take them. */
  lost = 0
  /** New connections since the start, without those at ADMIN_PORT. */
  newConnections = 0
  /** Set while a trial goes on. */
  trial: TrialShares | undefined

  constructor(log: Logger, { clients, gate }: ConnectionRouterOptions = {}) {
    this.#log = log
    this.#clients = clients
    this.gate = gate
    this.#choose = localFirst(successorFirst(clients ? sticky : roundRobin), clients !== undefined)
  }

  /** Sets the workers that can take connections now, and routes what waits. */
  setTargets(targets: readonly RoutingTarget[]): void {
    this.#targets = targets
    this.flush()
  }

  /** Takes a new connection, which waits until a worker is ready. @param admin it came in at ADMIN_PORT */
  accept(handle: TcpHandle, admin = false): void {
    const offer = { id: ++this.#lastId, ...(admin && { origin: { admin } }) }
    const connection = createConnection(offer, handle, () => handle.close())
    if (!admin) this.newConnections++
    if (this.#clients && !admin) this.#identify(connection, this.#clients)
    else this.#route(connection)
  }

  /** Takes a connection from a worker, or from another primary. @param done called when a worker serves it, or when it is lost */
  transfer(
    { handle, slot, idleMs, head, origin, resume, isLocal, target }: Transfer,
    done: (lost: boolean) => void
  ): void {
    const release = (lost: boolean) => {
      handle.close()
      done(lost)
    }
    const client = this.#clients?.of(handle, origin?.client?.address)
    const offer = {
      id: ++this.#lastId,
      ...(idleMs !== undefined && { idleMs }),
      ...(head !== undefined && { head }),
      ...(origin && { origin }),
      ...(resume && { resume })
    }
    const hint = { slot, client, resumes: resume !== undefined, isLocal, prefer: target }
    this.#route(createConnection(offer, handle, release, hint))
  }

  /** A worker serves the connection. Ignored unless the connection was offered to that worker. */
  accepted(id: number, workerId: number): void {
    const connection = this.#pending.get(id)
    if (connection?.target?.id !== workerId) return
    this.#countAnswer(connection)
    this.#apply(connection, transferStep('primary', 'passed-on', 'accepted').action)
    this.flush()
  }

  /** Another primary will offer the connection to its workers: it must go to no other process from now on. */
  taken(id: number, workerId: number): void {
    const connection = this.#pending.get(id)
    if (connection?.target?.id !== workerId) return
    connection.isTaken = true
  }

  /** Another primary has taken the connection, and none of its workers could serve it. */
  returned(id: number, workerId: number): void {
    const connection = this.#pending.get(id)
    if (connection?.target?.id !== workerId) return
    this.#countAnswer(connection)
    this.#apply(connection, transferStep('primary', 'taken', 'returned').action)
    this.flush()
  }

  /**
   * A worker has exited: other workers get what it was offered and did not accept. What it sent before its exit is read first: a
   * connection in use that it has accepted, and changed, must go to no other.
   */
  workerExited(workerId: number): void {
    this.#load.unanswered.delete(workerId)
    this.#load.silent.delete(workerId)
    // The event loop reads everything that has arrived before the second `setImmediate` runs.
    setImmediate(() => setImmediate(() => this.#offerAgain(workerId)))
  }

  /** Offers waiting connections to workers. Called whenever a worker may be able to take more. */
  flush(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const connection = this.#waiting[i]!
      const target = this.trial
        ? this.#chooseOnTrial(connection, this.trial)
        : this.#chooseFrom(this.#targets, connection)
      this.#load.turn++
      if (target) {
        this.#waiting.splice(i, 1)
        this.#offer(connection, target)
      } else if (connection.resumes && this.#noneResumes()) {
        this.#waiting.splice(i, 1)
        this.#apply(connection, transferStep('primary', 'waiting', 'no-worker').action)
      } else if (!this.takesTransfers && connection.offer.idleMs !== undefined && !connection.resumes) {
        this.#waiting.splice(i, 1)
        this.#finish(connection, true)
      } else if (connection.avoid === undefined && !connection.resumes) return
      else i++
    }
  }

  #chooseFrom(targets: readonly RoutingTarget[], connection: RoutedConnection): RoutingTarget | undefined {
    return this.#choose(targets, this.#load, connection)
  }

  /** A connection whose side cannot take it goes to another worker. */
  #chooseOnTrial(connection: RoutedConnection, trial: TrialShares): RoutingTarget | undefined {
    const { assigned, others } = assign(this.#targets, trial, connection, Math.random())
    return this.#chooseFrom(assigned, connection) ?? this.#chooseFrom(others, connection)
  }

  /** Resolves when every connection taken so far is at a worker. */
  async settled(): Promise<void> {
    if (this.#pending.size === 0) return
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Closes every pending connection: no worker will be ready any more. */
  giveUp(): void {
    for (const connection of [...this.#pending.values()]) {
      this.lost++
      // One in use that a worker may have taken by now is not lost.
      const state = connection.resumes && connection.target ? 'passed-on' : 'waiting'
      this.#apply(connection, transferStep('primary', state, 'given-up').action)
    }
    this.#waiting.length = 0
  }

  /** Finds the client's address before the connection is routed, which may need the first bytes of its request. */
  #identify(connection: RoutedConnection, clients: ClientAddresses): void {
    const { offer, handle } = connection
    this.#addPending(connection)
    clients.find(handle, (found) => {
      if (!found) return this.#finish(connection)
      const { head, release = connection.release } = found
      this.#route(createConnection(head === undefined ? offer : { ...offer, head }, handle, release, found))
    })
  }

  /** Whether there are workers, and none of them can continue what another one has begun. */
  #noneResumes(): boolean {
    return this.#targets.length > 0 && !this.#targets.some(({ resumes }) => resumes)
  }

  #offerAgain(workerId: number): void {
    for (const connection of this.#pending.values()) {
      if (connection.target?.id !== workerId) continue
      this.#apply(connection, transferStep('primary', connection.isTaken ? 'taken' : 'passed-on', 'new-died').action)
    }
  }

  #apply(connection: RoutedConnection, action: 'wait' | 'release' | 'refuse'): void {
    if (action === 'wait') this.#reroute(connection)
    else this.#finish(connection, action === 'refuse')
  }

  #route(connection: RoutedConnection): void {
    this.#addPending(connection)
    this.#overdueTimer ??= setInterval(() => this.#checkOverdue(), OVERDUE_MS).unref()
    this.#waiting.push(connection)
    this.flush()
  }

  #reroute(connection: RoutedConnection): void {
    this.rerouted++
    connection.target = undefined
    this.#waiting.unshift(connection)
    this.flush()
  }

  #offer(connection: RoutedConnection, target: RoutingTarget): void {
    const { offer, handle } = connection
    const { unanswered } = this.#load
    connection.target = target
    connection.offeredAt = performance.now()
    unanswered.set(target.id, (unanswered.get(target.id) ?? 0) + 1)
    void target.offer(offer, handle).then((sent) => {
      if (sent || connection.target !== target || !this.#pending.has(offer.id)) return
      this.#countAnswer(connection)
      connection.avoid = target.id
      this.#apply(connection, transferStep('primary', 'passed-on', 'not-sent').action)
    })
  }

  #addPending(connection: RoutedConnection): void {
    this.#pending.set(connection.offer.id, connection)
    this.gate?.update(this.#pending.size)
  }

  #countAnswer({ target }: RoutedConnection): void {
    const unanswered = target && this.#load.unanswered.get(target.id)
    if (unanswered !== undefined) this.#load.unanswered.set(target!.id, unanswered - 1)
  }

  #finish(connection: RoutedConnection, lost = false): void {
    this.#pending.delete(connection.offer.id)
    connection.release(lost)
    this.gate?.update(this.#pending.size)
    if (this.#pending.size > 0) return
    clearInterval(this.#overdueTimer)
    this.#overdueTimer = undefined
    this.#onEmpty?.()
  }

  /**
   * Asks workers whether overdue connections arrived. A process that is out of file descriptors receives the message without
   * its descriptor, and Node drops both: the connection would stay unanswered for ever. A worker that does not answer the
   * question may still serve the connection, which therefore stays with it.
   */
  #checkOverdue(): void {
    const askedAt = performance.now()
    const { silent } = this.#load
    for (const { target, offeredAt } of this.#pending.values()) {
      if (!target || silent.has(target.id) || askedAt - offeredAt < OVERDUE_MS) continue
      silent.add(target.id)
      void target.responds().then((responded) => {
        silent.delete(target.id)
        if (responded) this.#rerouteMissing(target, askedAt)
        this.flush()
      })
    }
  }

  /** Reroutes connections that did not arrive: the worker has handled later messages and has not accepted them. */
  #rerouteMissing(target: RoutingTarget, offeredBefore: number): void {
    const missing = [...this.#pending.values()].filter(
      (connection) => connection.target === target && connection.offeredAt < offeredBefore && !connection.isTaken
    )
    if (missing.length === 0) return
    // The worker takes no connections until its next heartbeat reports its room.
    target.room = 0
    const why = 'is the worker out of file descriptors?'
    this.#log.warn({ worker: target.id, connections: missing.length, why }, 'connections did not arrive')
    for (const connection of missing) {
      this.#countAnswer(connection)
      this.#apply(connection, transferStep('primary', 'passed-on', 'missing').action)
    }
  }
}
