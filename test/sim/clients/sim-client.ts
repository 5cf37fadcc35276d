import type { Random } from '../../helpers/random.ts'
import type { SimConnection } from '../machine/sim-connection.ts'
import type { SimNetwork } from '../machine/sim-network.ts'
import type { TimeOwner } from '../machine/virtual-time.ts'
import { KEEP_ALIVE_MS } from '../service/sim-worker.ts'
import { HttpReader, type ReadResponse } from './http-reader.ts'

export const VISIT_KINDS = [
  'pages',
  'pipeline',
  'upload',
  'stream',
  'slow stream',
  'slow reader',
  'rude',
  'socket'
] as const

/** What a client does. Data, so that a failing plan can be reduced. */
export interface Visit {
  at: number
  kind: (typeof VISIT_KINDS)[number]
  /** Requests; of a stream: seconds. */
  count: number
  /** The app needs this long for a request, in ms. */
  workMs: number
  /** The client thinks this long between two requests, in ms. */
  thinkMs: number
}

export interface ClientWorld {
  network: SimNetwork
  random: Random
  /** The machine of the clients. */
  owner: TimeOwner
  /** The service has been told to stop: it accepts no connections, and event streams end. */
  readonly isStopping: () => boolean
  /** The primary was killed: its workers end soon. */
  readonly isOrphaned: () => boolean
  violation(what: string): void
  /** How often the handler has begun with a request. */
  readonly handled: Map<string, number>
  /** Clients that have not finished. */
  readonly active: Set<{ describe(): string }>
  requests: number
}

interface Outstanding {
  id: string
  timer: { cancel(): void }
}

/** A request that is not answered for this long is given up, in ms. */
const PATIENCE_MS = 240_000
/** Clients stop using a connection this much before the server may close it. */
const KEEP_ALIVE_MARGIN_MS = 500

/** A client that follows HTTP, and sees whether the service does. */
export class SimClient {
  readonly #world: ClientWorld
  readonly #visit: Visit
  readonly #address: string
  #connection: SimConnection | undefined
  #reader: HttpReader | undefined
  readonly #outstanding: Outstanding[] = []
  #left: number
  #closesAfter = false
  #idleSince = 0
  #lastEvent = 0
  #events = ''
  #isDone = false

  constructor(world: ClientWorld, visit: Visit) {
    this.#world = world
    this.#visit = visit
    this.#address = `10.0.${world.random.between(0, 255)}.${world.random.between(1, 254)}`
    this.#left = visit.kind.endsWith('stream') ? 1 : visit.count
    world.active.add(this)
    this.#next()
  }

  describe(): string {
    const waits = this.#outstanding.map(({ id }) => id)
    return `client of ${this.#visit.kind}, connection ${this.#connection?.id}, waits for ${waits}`
  }

  #next(): void {
    if (this.#isDone || this.#outstanding.length > 0) return
    if (this.#left <= 0) {
      this.#finish()
      return
    }
    const { kind, count } = this.#visit
    const age = this.#world.network.time.now - this.#idleSince
    if (this.#connection && age > KEEP_ALIVE_MS - KEEP_ALIVE_MARGIN_MS) this.#leave()
    if (!this.#connection && !this.#connect()) return
    if (this.#isStream) {
      this.#openStream(count * 1000)
      return
    }
    const burst = kind === 'pipeline' ? Math.min(this.#left, 4) : 1
    for (let i = 0; i < burst; i++) this.#request()
    if (kind === 'rude' && this.#world.random.chance(0.5)) {
      this.#later(this.#world.random.between(0, this.#visit.workMs), () => this.#reset())
    }
  }

  #connect(): boolean {
    const { network, owner } = this.#world
    const events = {
      onData: (text: string) => this.#mine(connection, () => this.#read(text)),
      onEnd: () => this.#mine(connection, () => this.#closed('FIN')),
      onReset: () => this.#mine(connection, () => this.#closed('a reset'))
    }
    const connection = network.connect(owner, this.#address, events, this.#visit.kind.startsWith('slow'))
    if (!connection) {
      if (!this.#world.isStopping()) this.#world.violation('a connection is refused: no process accepts at the port')
      this.#finish()
      return false
    }
    this.#connection = connection
    this.#closesAfter = false
    this.#idleSince = network.time.now
    this.#reader = new HttpReader(
      (text) => this.#isStream && this.#readEvents(text),
      (response) => this.#answered(response)
    )
    return true
  }

  #mine(connection: SimConnection | undefined, run: () => void): void {
    if (connection === this.#connection && !this.#isDone) run()
  }

  #request(): void {
    const { workMs, kind } = this.#visit
    const connection = this.#connection!
    const id = `r${++this.#world.requests}`
    this.#left--
    this.#outstanding.push({ id, timer: this.#later(PATIENCE_MS + workMs, () => this.#givesUp(id)) })
    const head = `/work?id=${id}&ms=${workMs} HTTP/1.1\r\nhost: sim\r\n`
    if (kind !== 'upload') {
      connection.send(`GET ${head}\r\n`)
      return
    }
    connection.send(`POST ${head}content-length: 20\r\n\r\n0123456789`)
    this.#later(workMs / 2 + 1, () => connection.send('0123456789'))
  }

  #openStream(ms: number): void {
    const connection = this.#connection!
    const id = `s${++this.#world.requests}`
    this.#outstanding.push({ id, timer: this.#later(ms, () => this.#endStream()) })
    connection.send(`GET /events?ms=${this.#visit.thinkMs} HTTP/1.1\r\nhost: sim\r\n${this.#lastId()}\r\n`)
  }

  #lastId(): string {
    return this.#lastEvent > 0 ? `last-event-id: ${this.#lastEvent}\r\n` : ''
  }

  #endStream(): void {
    this.#left = 0
    this.#reset()
    this.#finish()
  }

  #read(text: string): void {
    try {
      this.#reader!.read(text)
    } catch (error) {
      this.#world.violation(`a response is not HTTP: ${(error as Error).message}`)
      this.#finish()
    }
  }

  #readEvents(text: string): void {
    this.#events += text
    for (let end = this.#events.indexOf('\n\n'); end >= 0; end = this.#events.indexOf('\n\n')) {
      const event = this.#events.slice(0, end)
      this.#events = this.#events.slice(end + 2)
      const id = /^id: (\d+)$/m.exec(event)?.[1]
      if (id === undefined) continue
      if (Number(id) !== this.#lastEvent + 1) {
        this.#world.violation(`event ${id} of a stream follows event ${this.#lastEvent}`)
      }
      this.#lastEvent = Number(id)
    }
  }

  #answered({ status, head, body }: ReadResponse): void {
    const first = this.#outstanding.shift()
    if (!first) {
      this.#world.violation(`a response without a request: ${body.slice(0, 40)}`)
      return
    }
    first.timer.cancel()
    this.#closesAfter = /^connection: close/im.test(head)
    this.#idleSince = this.#world.network.time.now
    if (this.#isStream) {
      this.#again()
      return
    }
    if (status !== 500 && status !== 200) this.#world.violation(`the answer to ${first.id} is ${status}`)
    if (body !== `id=${first.id}`) this.#world.violation(`the answer to ${first.id} is "${body.slice(0, 40)}"`)
    const handled = this.#world.handled.get(first.id)
    if (handled !== 1) this.#world.violation(`${first.id} was handled ${handled} times`)
    this.#world.handled.delete(first.id)
    if (this.#closesAfter) this.#endAfterLast(first.id)
    if (this.#outstanding.length === 0) this.#later(this.#visit.thinkMs, () => this.#next())
  }

  #endAfterLast(id: string): void {
    if (this.#outstanding.length > 0 && !this.#isExcused) {
      this.#world.violation(`the answer to ${id} ends the connection before ${this.#outstanding[0]!.id} is answered`)
    }
    this.#forget()
  }

  /** Whether the connection may end before everything is answered: its worker died, or the service stops. */
  get #isExcused(): boolean {
    const { isStopping, isOrphaned } = this.#world
    const { workerDied, isRefused } = this.#connection ?? {}
    return workerDied === true || isRefused === true || isOrphaned() || (this.#isStream && isStopping())
  }

  get #isStream(): boolean {
    return this.#visit.kind.endsWith('stream')
  }

  /** The server has ended the connection. */
  #closed(how: string): void {
    const [lost] = this.#outstanding
    if (lost && !this.#isExcused) {
      this.#world.violation(`${lost.id} is lost by ${how} on connection ${this.#connection!.id}, whose worker lives`)
    }
    const hadWork = this.#outstanding.length > 0
    this.#forget()
    if (hadWork) this.#again()
  }

  /** Follows with the next request, soon and on a new connection. */
  #again(): void {
    this.#forget()
    if (this.#isStream && this.#left <= 0) {
      this.#finish()
      return
    }
    this.#later(this.#world.random.between(10, 500), () => this.#next())
  }

  #givesUp(id: string): void {
    if (!this.#isExcused) this.#world.violation(`${id} is not answered in ${PATIENCE_MS / 1000} s`)
    this.#reset()
  }

  /** Closes the connection without waiting for what is outstanding. */
  #reset(): void {
    this.#connection?.reset()
    this.#forget()
    this.#later(this.#visit.thinkMs, () => this.#next())
  }

  /** Ends a connection that is idle. */
  #leave(): void {
    this.#connection?.end()
    this.#forget()
  }

  #forget(): void {
    // A client that has had FIN sends its own.
    this.#connection?.end()
    this.#connection = undefined
    for (const { timer } of this.#outstanding.splice(0)) timer.cancel()
  }

  #finish(): void {
    if (this.#isDone) return
    if (this.#outstanding.length > 0) this.#connection?.reset()
    this.#forget()
    this.#isDone = true
    this.#world.active.delete(this)
  }

  #later(ms: number, run: () => void): { cancel(): void } {
    return this.#world.network.time.plan(this.#world.owner, ms, () => {
      if (!this.#isDone) run()
    })
  }
}
