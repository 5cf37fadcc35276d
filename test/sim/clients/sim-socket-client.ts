import type { SimConnection } from '../machine/sim-connection.ts'
import { CLOSE, frame, frameReader, TEXT } from '../service/sim-web-socket.ts'
import type { ClientWorld, Visit } from './sim-client.ts'

/** A message that is not answered for this long is given up, in ms. */
const PATIENCE_MS = 240_000

/** A client with a WebSocket, which expects one answer for each message, in order. */
export class SimSocketClient {
  readonly #world: ClientWorld
  readonly #visit: Visit
  readonly #address: string
  #connection: SimConnection | undefined
  #left: number
  #sent = 0
  #answered = 0
  #isDone = false
  #timer: { cancel(): void } | undefined

  constructor(world: ClientWorld, visit: Visit) {
    this.#world = world
    this.#visit = visit
    this.#address = `10.1.${world.random.between(0, 255)}.${world.random.between(1, 254)}`
    this.#left = visit.count
    world.active.add(this)
    this.#connect()
  }

  describe(): string {
    return `client of a WebSocket, connection ${this.#connection?.id}, ${this.#answered} of ${this.#sent} answered`
  }

  #connect(): void {
    const { network, owner, isStopping } = this.#world
    let head = ''
    let read: ((data: Buffer) => void) | undefined
    const mine = (run: () => void) => {
      if (connection === this.#connection && !this.#isDone) run()
    }
    const onData = (text: string) => {
      if (read) {
        read(Buffer.from(text, 'latin1'))
        return
      }
      head += text
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101 ')) this.#world.violation(`the answer to an upgrade is ${head.slice(0, 40)}`)
      read = frameReader((opcode, payload) => mine(() => this.#receive(opcode, payload)))
      this.#send()
      read(Buffer.from(head.slice(end + 4), 'latin1'))
    }
    const events = {
      onData: (text: string) => mine(() => onData(text)),
      onEnd: () => mine(() => this.#closed()),
      onReset: () => mine(() => this.#closed())
    }
    const connection = network.connect(owner, this.#address, events, false)
    if (!connection) {
      if (!isStopping()) this.#world.violation('a connection is refused: no process accepts at the port')
      this.#finish()
      return
    }
    this.#connection = connection
    this.#sent = 0
    this.#answered = 0
    this.#wait()
    connection.send('GET /socket HTTP/1.1\r\nhost: sim\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n')
  }

  #send(): void {
    const connection = this.#connection
    if (!connection || this.#isDone) return
    if (this.#left <= 0) {
      if (this.#answered === this.#sent) connection.send(frame(CLOSE, '', true).toString('latin1'))
      return
    }
    this.#left--
    this.#sent++
    this.#world.requests++
    this.#wait()
    const bytes = frame(TEXT, String(this.#sent), true).toString('latin1')
    // The first bytes of a frame may come before the others.
    connection.send(bytes.slice(0, 3))
    this.#later(this.#world.random.between(0, 60), () => {
      if (connection === this.#connection) connection.send(bytes.slice(3))
    })
    this.#later(60 + this.#visit.thinkMs, () => connection === this.#connection && this.#send())
  }

  #receive(opcode: number, text: string): void {
    if (opcode === CLOSE) {
      // The service restarts, and wants its clients to come again.
      this.#connection!.send(frame(CLOSE, '', true).toString('latin1'))
      this.#again()
      return
    }
    this.#answered++
    const expected = `${this.#answered} ${this.#answered}`
    if (text !== expected) this.#world.violation(`a WebSocket answers "${text}", and not "${expected}"`)
    if (this.#left <= 0 && this.#answered === this.#sent) this.#send()
    this.#wait()
  }

  #closed(): void {
    const isOver = this.#left <= 0 && this.#answered === this.#sent
    const { isStopping, isOrphaned, violation } = this.#world
    const isExcused = isOver || this.#connection!.workerDied || isStopping() || isOrphaned()
    if (!isExcused)
      violation.call(this.#world, `a WebSocket is cut on connection ${this.#connection!.id}, whose worker lives`)
    this.#again()
  }

  #again(): void {
    this.#connection?.end()
    this.#connection = undefined
    this.#timer?.cancel()
    if (this.#left <= 0 || this.#world.isStopping()) {
      this.#finish()
      return
    }
    this.#later(this.#world.random.between(10, 500), () => this.#connect())
  }

  #wait(): void {
    this.#timer?.cancel()
    this.#timer = this.#later(PATIENCE_MS, () => {
      if (!this.#connection?.workerDied)
        this.#world.violation(`no answer in ${PATIENCE_MS / 1000} s: ${this.describe()}`)
      this.#connection?.reset()
      this.#again()
    })
  }

  #finish(): void {
    this.#isDone = true
    this.#timer?.cancel()
    this.#connection?.end()
    this.#world.active.delete(this)
  }

  #later(ms: number, run: () => void): { cancel(): void } {
    return this.#world.network.time.plan(this.#world.owner, ms, () => {
      if (!this.#isDone) run()
    })
  }
}
