import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const SETTINGS = 4
const PING = 6
const ACK = 1
export const DATA = 0
export const HEADERS = 1
export const RST_STREAM = 3
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const END_STREAM = 1
const END_HEADERS = 4

export interface Frame {
  type: number
  flags: number
  stream: number
  payload: Buffer
}

/** An HTTP/2 client that shows every frame as it comes; it answers SETTINGS and PING, and nothing else. */
export class FrameClient {
  readonly socket: TLSSocket
  #read = Buffer.alloc(0)
  #lastStream = -1

  private constructor(socket: TLSSocket) {
    this.socket = socket
  }

  static async open(port: number, ca: string): Promise<FrameClient> {
    const socket = connect({ port, host: '127.0.0.1', ca, ALPNProtocols: ['h2'] })
    await once(socket, 'secureConnect')
    const client = new FrameClient(socket)
    socket.write(PREFACE)
    client.send(SETTINGS, 0, 0)
    return client
  }

  /** Sends a GET request. @returns the id of its stream */
  get(path: string, fields: Record<string, string> = {}): number {
    const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)])
    // HPACK: `:method: GET` and `:scheme: https` of the static table, the others as literals without Huffman coding.
    const block = [Buffer.from([0x82, 0x87, 0x04]), text(path), Buffer.from([0x01]), text('test')]
    for (const [name, value] of Object.entries(fields)) block.push(Buffer.from([0]), text(name), text(value))
    this.#lastStream += 2
    this.send(HEADERS, END_STREAM | END_HEADERS, this.#lastStream, Buffer.concat(block))
    return this.#lastStream
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9)
    head.writeUIntBE(payload.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(stream, 5)
    this.socket.write(Buffer.concat([head, payload]))
  }

  /** Every frame that the server sends, until it closes the connection. */
  async *frames(): AsyncGenerator<Frame> {
    for await (const chunk of this.socket) {
      this.#read = Buffer.concat([this.#read, chunk as Buffer])
      for (let frame = this.#next(); frame; frame = this.#next()) {
        if ((frame.type === SETTINGS || frame.type === PING) && (frame.flags & ACK) === 0) {
          this.send(frame.type, ACK, 0, frame.type === PING ? frame.payload : undefined)
        }
        yield frame
      }
    }
  }

  #next(): Frame | undefined {
    if (this.#read.length < 9) return undefined
    const end = 9 + this.#read.readUIntBE(0, 3)
    if (this.#read.length < end) return undefined
    const [type, flags, stream] = [this.#read[3]!, this.#read[4]!, this.#read.readUInt32BE(5)]
    const payload = Buffer.from(this.#read.subarray(9, end))
    this.#read = this.#read.subarray(end)
    return { type, flags, stream, payload }
  }
}
