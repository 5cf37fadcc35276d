import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type ClientOptions, WebSocket } from 'ws'
import { Random } from './random.ts'
import { until } from './until.ts'

interface Answer {
  pid: number
  count: number
  message: string
}

/** A WebSocket to the fixtures with sockets, which sends numbered messages and never reconnects. */
export class SocketClient {
  readonly answers: Answer[] = []
  readonly socket: WebSocket
  sent = 0
  pongs = 0
  closed: { code: number; reason: string } | undefined
  #error: string | undefined
  #timer: NodeJS.Timeout | undefined

  static async open(
    port: number,
    path: string,
    options: ClientOptions & { protocols?: string[] } = {}
  ): Promise<SocketClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options.protocols ?? [], {
      perMessageDeflate: false,
      ...options
    })
    const client = new SocketClient(socket)
    await once(socket, 'open')
    return client
  }

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.answers.push(JSON.parse(String(data)) as Answer))
    socket.on('pong', () => {
      this.pongs++
    })
    socket.on('error', (error) => {
      this.#error = error.message
    })
    socket.on('close', (code, reason) => {
      this.stop()
      this.closed = { code, reason: String(reason) }
    })
  }

  get pids(): Set<number> {
    return new Set(this.answers.map(({ pid }) => pid))
  }

  get raw(): Socket {
    return (this.socket as unknown as { _socket: Socket })._socket
  }

  /** @param inFragments sends the message in two frames */
  send(size = 0, inFragments = false): void {
    const number = `${++this.sent} `
    if (inFragments) this.socket.send(number, { fin: false })
    this.socket.send((inFragments ? '' : number) + 'x'.repeat(size))
  }

  /** Sends a message every few ms. */
  start(ms: number, size = 0): void {
    this.#timer = setInterval(() => this.send(size), ms)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Cuts what is sent into pieces of random lengths, which are sent one after the other. */
  cutWrites(seed: number): void {
    const random = new Random(seed)
    const { raw } = this
    const write = raw.write.bind(raw)
    let queue: Buffer[] = []
    const sendNext = () => {
      const bytes = Buffer.concat(queue)
      if (bytes.length === 0 || raw.destroyed) return
      const size = Math.min(bytes.length, random.between(1, 300))
      queue = [bytes.subarray(size)]
      write(bytes.subarray(0, size))
      setTimeout(sendNext, random.between(0, 2))
    }
    raw.cork = () => {}
    raw.uncork = () => {}
    raw.write = ((data: Buffer | string) => {
      const isIdle = queue.every(({ length }) => length === 0)
      queue.push(Buffer.from(data as string))
      if (isIdle) sendNext()
      return true
    }) as Socket['write']
  }

  /** Waits for the answer to every message that was sent. */
  async allAnswered(): Promise<void> {
    await until(
      () => this.answers.length >= this.sent || this.closed,
      `the answers to ${this.sent} messages, of which ${this.answers.length} are here`
    )
  }

  /** Whether each message has one answer, in order, and its count is the number of messages so far. */
  get isExact(): boolean {
    return (
      this.closed === undefined &&
      this.answers.length === this.sent &&
      this.answers.every(({ count, message }, i) => count === i + 1 && Number.parseInt(message, 10) === i + 1)
    )
  }

  /** For the message of a failure. */
  get summary(): string {
    return JSON.stringify({
      closed: this.closed,
      error: this.#error,
      sent: this.sent,
      pids: [...this.pids],
      last: this.answers.slice(-3)
    })
  }

  async ended(): Promise<{ code: number; reason: string }> {
    await until(() => this.closed, 'the end of the socket')
    return this.closed!
  }
}
