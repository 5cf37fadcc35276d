import type { ProcessEnd, SimProcess } from './sim-process.ts'
import type { TimeOwner, VirtualTime, VirtualTimer } from './virtual-time.ts'

/** A copy of the server's descriptor, as the kernel sees it. */
export interface DescriptorCopy {
  /** Undefined while it is on its way to a process. */
  readonly process: SimProcess | undefined
  /** What was written and the kernel has not taken. */
  readonly queue: unknown[]
  /** There may be something to read. */
  wake(): void
  /** The kernel takes more. */
  flush(): void
}

/** What the client of a connection learns. */
export interface ClientEvents {
  onData(text: string): void
  /** FIN of the server. */
  onEnd(): void
  onReset(): void
}

interface ConnectionOptions {
  time: VirtualTime
  /** The connection was used by two processes. */
  onTwoOwners: (connection: SimConnection) => void
  /** No process has it any more. */
  onClosed: (connection: SimConnection) => void
  note: (text: string) => void
  id: number
  client: TimeOwner
  address: string
  events: ClientEvents
  latencyMs: number
  /** The client reads so slowly that the kernel takes one write at a time. */
  isSlow: boolean
}

const SLOW_READ_MS = 40

/** A TCP connection as the kernel knows it: what is under way in both directions, and who has a copy of the server's descriptor. */
export class SimConnection {
  readonly time: VirtualTime
  readonly id: number
  readonly address: string
  readonly copies = new Set<DescriptorCopy>()
  /** The last copy that read or wrote. */
  user: DescriptorCopy | undefined
  /** A process that used the connection ended without being done: what its client waits for is lost. */
  workerDied = false
  /** The port was closed before it was accepted. */
  isRefused = false
  isReset = false
  readonly #options: ConnectionOptions
  readonly #toServer: Buffer[] = []
  readonly #past = new Set<DescriptorCopy>()
  #isUnanswered = false
  #clientEnded = false
  #clientGone = false
  #serverEnded = false
  #slowWrite: VirtualTimer | undefined
  #lastToClient = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.time = options.time
    this.id = options.id
    this.address = options.address
  }

  get isReadable(): boolean {
    return this.isReset || this.#clientEnded || this.#toServer.length > 0
  }

  get isFull(): boolean {
    return this.#slowWrite !== undefined
  }

  /** @returns what can be read; undefined for FIN */
  take(): Buffer | undefined {
    const chunk = this.#toServer.shift()
    if (chunk) this.#isUnanswered = true
    return chunk
  }

  /** A process reads or writes. Once another copy has been used, this one must not be used any more. */
  use(handle: DescriptorCopy): void {
    if (this.user === handle) return
    if (this.#past.has(handle)) this.#options.onTwoOwners(this)
    if (this.user) this.#past.add(this.user)
    this.user = handle
    // What a dead process has not read is there for the next one.
    if (!this.#isUnanswered) this.workerDied = false
  }

  /** The client sends. */
  send(text: string): void {
    this.#note(`client sends ${JSON.stringify(text.slice(0, 60))}`)
    this.#later(() => {
      if (this.copies.size === 0) return this.#resetClient()
      this.#toServer.push(Buffer.from(text, 'latin1'))
      this.#wake()
    })
  }

  /** The client sends FIN. */
  end(): void {
    this.#note('client sends FIN')
    this.#later(() => {
      this.#clientEnded = true
      this.#wake()
    })
  }

  /** The client closes the connection without reading what comes. */
  reset(): void {
    if (this.#clientGone) return
    this.#note('client resets')
    this.#clientGone = true
    const { time } = this
    this.#later(() => {
      this.isReset = true
      this.#toServer.length = 0
      this.#slowWrite?.cancel()
      this.#slowWrite = undefined
      for (const copy of this.copies) if (copy.process) time.plan(copy.process, 0, () => copy.flush())
      this.#wake()
    })
  }

  /** @returns an error when the client is gone */
  sendToClient(chunk: Buffer): Error | undefined {
    this.#isUnanswered = false
    if (this.isReset) return Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    const { isSlow, events, client, time } = this.#options
    this.#note(`server sends ${JSON.stringify(chunk.toString('latin1', 0, 60))}`)
    this.#toClient(() => events.onData(chunk.toString('latin1')))
    if (!isSlow) return undefined
    this.#slowWrite = time.plan(client, SLOW_READ_MS, () => {
      this.#slowWrite = undefined
      const { user } = this
      if (user?.process) time.plan(user.process, 0, () => user.flush())
    })
    return undefined
  }

  endToClient(): void {
    if (this.#serverEnded) return
    this.#serverEnded = true
    this.#note('server sends FIN')
    this.#toClient(() => this.#options.events.onEnd())
  }

  /**
   * A copy was closed. With the last one, the connection ends: in order, or by a reset when something was not read.
   * @param end how its process ended, if it did
   * @param cut whether something that it had written was lost
   */
  closed(handle: DescriptorCopy, end: ProcessEnd | undefined, cut: boolean): void {
    this.copies.delete(handle)
    this.#note(`${handle.process?.name} closes a copy, ${this.copies.size} are left`)
    if (end && end.code !== 0 && this.user === handle) this.workerDied = true
    if (this.copies.size > 0) return
    this.#options.onClosed(this)
    if (cut || this.#toServer.length > 0) this.#resetClient()
    else this.endToClient()
  }

  #note(text: string): void {
    this.#options.note(`connection ${this.id}: ${text}`)
  }

  #wake(): void {
    for (const copy of this.copies) copy.wake()
  }

  #later(run: () => void): void {
    const { time, client, latencyMs } = this.#options
    time.plan(client, latencyMs, run)
  }

  #resetClient(): void {
    this.#serverEnded = true
    this.#toClient(() => {
      this.#clientGone = true
      this.#options.events.onReset()
    })
  }

  #toClient(run: () => void): void {
    const { time, client, latencyMs } = this.#options
    const at = Math.max(time.now + latencyMs, this.#lastToClient)
    this.#lastToClient = at
    time.plan(client, at - time.now, () => {
      if (!this.#clientGone || this.#serverEnded) run()
    })
  }
}
