import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { head } from './http.ts'
import { until } from './until.ts'

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10

interface Frame {
  opcode: number
  payload: Buffer
}

/**
 * A WebSocket on one TCP connection, which never reconnects. It writes frames itself, so that it can cut them anywhere: at the
 * moment of a transfer, half a frame has arrived.
 */
export class WebSocketClient {
  /** The texts that were received, in order. */
  readonly texts: string[] = []
  /** Payloads of pongs. */
  readonly pongs: string[] = []
  /** The code of the server's close frame, 1006 when the connection ended without one; undefined while it is open. */
  closeCode: number | undefined
  /** When the connection closed, on the clock of `performance.now()`. */
  closedAt: number | undefined
  onText: ((text: string) => void) | undefined
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  /** The rest of a frame that is half sent. */
  #rest: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, received: Buffer) {
    this.#socket = socket
    socket.on('data', (data: Buffer) => this.#read(data))
    socket.on('end', () => this.#close(1006))
    socket.on('close', () => this.#close(1006))
    this.#read(received)
  }

  static async open(port: number, path: string, headers: Record<string, string> = {}): Promise<WebSocketClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {}) // a close follows
    socket.write(
      head('GET', path, {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers
      })
    )
    let received = Buffer.alloc(0)
    for (;;) {
      const [data] = (await once(socket, 'data')) as [Buffer]
      received = Buffer.concat([received, data])
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) continue
      const status = received.subarray(0, end).toString('latin1').split('\r\n', 1)[0]!
      if (!status.startsWith('HTTP/1.1 101 ')) {
        socket.destroy()
        throw new Error(`no WebSocket: ${status}`)
      }
      return new WebSocketClient(socket, received.subarray(end + 4))
    }
  }

  /** The local port: the same one means the very same connection. */
  get localPort(): number {
    return this.#socket.localPort ?? 0
  }

  /** Sends a text whole, or in fragments of one message. */
  send(...fragments: string[]): void {
    for (const bytes of encodeMessage(fragments)) this.#write(bytes)
  }

  /** Sends a text in two pieces that are cut at a random byte, the second one `ms` later or with the next message. */
  sendCut(ms: number, ...fragments: string[]): void {
    const bytes = Buffer.concat(encodeMessage(fragments))
    const cut = Math.floor(Math.random() * bytes.length)
    this.#write(bytes.subarray(0, cut))
    this.#rest = bytes.subarray(cut)
    setTimeout(() => this.#write(Buffer.alloc(0)), ms)
  }

  ping(payload: string): void {
    this.#write(encodeFrame(PING, Buffer.from(payload)))
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Waits until this number of texts has come. */
  async has(count: number): Promise<void> {
    await until(() => this.texts.length >= count || this.closeCode !== undefined, `${count} texts`, 120_000)
  }

  /** Closes in order. @returns the code that the server answers */
  async close(): Promise<number> {
    this.#write(encodeFrame(CLOSE, Buffer.from([0x03, 0xe8])))
    await until(() => this.closeCode !== undefined, 'the answer to a close frame')
    this.#socket.destroy()
    return this.closeCode!
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #write(bytes: Buffer): void {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    if (rest.length > 0) this.#socket.write(rest)
    if (bytes.length > 0) this.#socket.write(bytes)
  }

  #read(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data])
    for (let frame = this.#takeFrame(); frame; frame = this.#takeFrame()) {
      if (frame.opcode === TEXT) this.#onText(frame.payload.toString())
      else if (frame.opcode === PONG) this.pongs.push(frame.payload.toString())
      else if (frame.opcode === CLOSE) this.#onCloseFrame(frame.payload)
    }
  }

  #onText(text: string): void {
    this.texts.push(text)
    this.onText?.(text)
  }

  #onCloseFrame(payload: Buffer): void {
    if (this.closeCode === undefined) this.#write(encodeFrame(CLOSE, payload))
    this.#close(payload.length >= 2 ? payload.readUInt16BE(0) : 1005)
  }

  #close(code: number): void {
    this.closeCode ??= code
    this.closedAt ??= performance.now()
    this.#socket.end()
  }

  /** Takes a complete frame of the server, which is never masked and, of the apps in these tests, never a fragment. */
  #takeFrame(): Frame | undefined {
    const bytes = this.#received
    if (bytes.length < 2) return undefined
    let length = bytes[1]! & 127
    let start = 2
    if (length === 126) {
      if (bytes.length < 4) return undefined
      length = bytes.readUInt16BE(2)
      start = 4
    } else if (length === 127) {
      if (bytes.length < 10) return undefined
      length = Number(bytes.readBigUInt64BE(2))
      start = 10
    }
    if (bytes.length < start + length) return undefined
    this.#received = bytes.subarray(start + length)
    return { opcode: bytes[0]! & 15, payload: bytes.subarray(start, start + length) }
  }
}

function encodeMessage(fragments: readonly string[]): Buffer[] {
  const last = fragments.length - 1
  return fragments.map((text, i) => encodeFrame(i === 0 ? TEXT : 0, Buffer.from(text), i === last))
}

/** A masked frame, as clients must send it. */
function encodeFrame(opcode: number, payload: Buffer, isLast = true): Buffer {
  const { length } = payload
  const header =
    length < 126
      ? Buffer.from([0, 128 | length])
      : length < 65_536
        ? Buffer.from([0, 128 | 126, length >> 8, length & 255])
        : Buffer.from([
            0,
            128 | 127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 255,
            (length >> 8) & 255,
            length & 255
          ])
  header[0] = (isLast ? 128 : 0) | opcode
  const mask = Buffer.from([1, 2, 3, 4].map(() => Math.floor(Math.random() * 256)))
  const masked = Buffer.from(payload)
  for (let i = 0; i < length; i++) masked[i]! ^= mask[i & 3]!
  return Buffer.concat([header, mask, masked])
}
