import type { Random } from '../../helpers/random.ts'
import { type ClientEvents, type DescriptorCopy, SimConnection } from './sim-connection.ts'
import type { ProcessEnd, SimProcess } from './sim-process.ts'
import type { TimeOwner, VirtualTime } from './virtual-time.ts'

/** What a socket of the simulated code learns from its descriptor. */
export interface HandleReader {
  onData(chunk: Buffer): void
  onEnd(): void
  onReset(): void
}

/** A copy of the descriptor of a connection, in one process or on its way to one. It has the shape of Node's TCP handle. */
export class SimHandle implements DescriptorCopy {
  readonly connection: SimConnection
  process: SimProcess | undefined
  reader: HandleReader | undefined
  reading = false
  isClosed = false
  bytesRead = 0
  bytesWritten = 0
  /** What was written and the kernel has not taken. It is lost with the process. */
  queue: { chunk: Buffer; done: (error?: Error) => void }[] = []
  #isFlowing = false
  #afterQueue: (() => void) | undefined

  constructor(connection: SimConnection, process: SimProcess | undefined) {
    this.connection = connection
    this.process = process
    connection.copies.add(this)
    process?.handles.add(this)
  }

  get writeQueueSize(): number {
    return this.queue.reduce((sum, { chunk }) => sum + chunk.length, 0)
  }

  getpeername(out: { address?: string; port?: number }): number {
    out.address = this.connection.address
    out.port = 40_000 + (this.connection.id % 20_000)
    return 0
  }

  /** @returns a copy that is on its way to another process */
  duplicate(): SimHandle {
    return new SimHandle(this.connection, undefined)
  }

  receive(process: SimProcess): void {
    this.process = process
    process.handles.add(this)
  }

  readStart(): void {
    if (this.#isUnusable()) return
    this.connection.use(this)
    this.#isFlowing = true
    this.wake()
  }

  readStop(): void {
    this.#isFlowing = false
  }

  get isFlowing(): boolean {
    return this.#isFlowing && !this.isClosed
  }

  /** Reads in the next turn of the event loop, if there is something to read. */
  wake(): void {
    const { process, connection } = this
    if (!this.isFlowing || !process || !connection.isReadable) return
    connection.time.plan(process, 0, () => this.#read())
  }

  write(chunk: Buffer, done: (error?: Error) => void): void {
    const { connection } = this
    if (this.#isUnusable()) return
    connection.use(this)
    this.bytesWritten += chunk.length
    this.queue.push({ chunk, done })
    this.flush()
  }

  /** Gives the kernel what it takes now. */
  flush(): void {
    const { connection, process } = this
    while (this.queue.length > 0 && !connection.isFull) {
      const { chunk, done } = this.queue.shift()!
      const error = connection.sendToClient(chunk)
      connection.time.plan(process!, 0, () => done(error), 'immediates')
    }
    if (this.queue.length > 0 || !this.#afterQueue) return
    const shutdown = this.#afterQueue
    this.#afterQueue = undefined
    shutdown()
  }

  /** Sends FIN after what was written. */
  shutdown(done: () => void): void {
    const { connection, process } = this
    if (this.#isUnusable()) return
    this.#afterQueue = () => {
      connection.use(this)
      connection.endToClient()
      connection.time.plan(process!, 0, done, 'immediates')
    }
    this.flush()
  }

  close(): void {
    this.#close(undefined)
  }

  /** The process ended. */
  lose(end: ProcessEnd): void {
    this.#close(end)
  }

  /** It was on its way, and no process received it. */
  drop(): void {
    this.#close(undefined)
  }

  /** Code that still runs in the turn in which its process ended has no effect. */
  #isUnusable(): boolean {
    if (!this.isClosed) return false
    if (this.process?.alive) throw new Error('a closed descriptor is used')
    return true
  }

  #close(end: ProcessEnd | undefined): void {
    if (this.isClosed) return
    this.isClosed = true
    this.process?.handles.delete(this)
    const cut = this.queue.splice(0)
    this.connection.closed(this, end, cut.length > 0)
  }

  #read(): void {
    const { connection, reader } = this
    if (!this.isFlowing || !reader || !connection.isReadable) return
    connection.use(this)
    if (connection.isReset) {
      this.#isFlowing = false
      reader.onReset()
      return
    }
    const chunk = connection.take()
    if (chunk) {
      this.bytesRead += chunk.length
      reader.onData(chunk)
      this.wake()
    } else {
      this.#isFlowing = false
      reader.onEnd()
    }
  }
}

/** The kernel's connections, and the port that accepts them. */
export class SimNetwork {
  readonly time: VirtualTime
  readonly #random: Random
  /** The process that accepts, and its callback; undefined while no process does: connections are refused. */
  acceptor: { process: SimProcess; accept: (handle: SimHandle) => void } | undefined
  /** Every connection that has a copy in a process, or on its way. */
  readonly open = new Set<SimConnection>()
  /** Called when the same connection was used by two processes. */
  onTwoOwners: (connection: SimConnection) => void = () => {}
  /** Called with what happens to a connection, for the trace. */
  note: (text: string) => void = () => {}
  accepted = 0
  /** Connections that have not reached the port. */
  readonly #arriving = new Set<SimConnection>()
  #lastId = 0

  constructor(time: VirtualTime, random: Random) {
    this.time = time
    this.#random = random
  }

  /** Closes the port: what has not reached it is refused, also if the process ends before. */
  closePort(): void {
    this.acceptor = undefined
    for (const connection of this.#arriving) connection.isRefused = true
  }

  /** Connects a client. @returns undefined when the connection is refused */
  connect(client: TimeOwner, address: string, events: ClientEvents, isSlow: boolean): SimConnection | undefined {
    const { acceptor } = this
    if (!acceptor?.process.alive) return undefined
    const latencyMs = 0.2 + 20 * this.#random.next()
    const connection = new SimConnection({
      ...{ time: this.time, id: ++this.#lastId, client, address, events, latencyMs, isSlow },
      onTwoOwners: (used) => this.onTwoOwners(used),
      onClosed: (closed) => void this.open.delete(closed),
      note: (text) => this.note(text)
    })
    this.open.add(connection)
    // The kernel has the connection until the process accepts it.
    const handle = new SimHandle(connection, acceptor.process)
    this.#arriving.add(connection)
    this.time.plan(acceptor.process, latencyMs, () => {
      this.#arriving.delete(connection)
      if (connection.isRefused) {
        handle.close()
        return
      }
      this.accepted++
      acceptor.accept(handle)
    })
    return connection
  }
}
