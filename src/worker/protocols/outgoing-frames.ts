import type { Socket } from 'node:net'

/** A close frame of a server: FIN and opcode 8, two bytes of payload, the status code 1012 ("Service Restart"). */
const CLOSE_FRAME = Buffer.from([0x88, 0x02, 1012 >> 8, 1012 & 0xff])
const CLOSE_OPCODE = 8
const MAX_HEAD_LENGTH = 16 * 1024
const NONE = Buffer.alloc(0)

/**
 * Follows what a library writes to a connection after an upgrade: whether it is a WebSocket, and where its frames end. A close
 * frame can then be written between two frames, whatever library owns the socket.
 */
export class OutgoingFrames {
  readonly #socket: Socket
  /** The answer to the upgrade, until it is complete. */
  #head = ''
  #isWebSocket = false
  /** The beginning of a frame whose header is not complete. */
  #header: Buffer = NONE
  /** Bytes of the current frame that are still to come. */
  #missing = 0
  #isClosed = false
  /** False when the connection turned out to be no WebSocket. */
  #isFollowed = true

  /** Must be called before the library answers the upgrade. */
  constructor(socket: Socket) {
    this.#socket = socket
    const { write } = socket
    const follow: typeof socket.write = (data: Uint8Array | string, ...rest: unknown[]) => {
      const [encoding] = rest
      this.#follow(typeof data === 'string' ? Buffer.from(data, encodingOf(encoding)) : data)
      if (!this.#isFollowed && socket.write === follow) Reflect.deleteProperty(socket, 'write')
      return (write as (...args: unknown[]) => boolean).call(socket, data, ...rest)
    }
    socket.write = follow
  }

  /** Whether it is a WebSocket to which no close frame was written. */
  get isOpen(): boolean {
    return this.#isWebSocket && !this.#isClosed && !this.#socket.destroyed && !this.#socket.writableEnded
  }

  /** Writes a close frame with the code 1012. @returns false in the middle of another frame, or when there is nothing to close */
  close(): boolean {
    if (!this.isOpen || this.#missing > 0 || this.#header.length > 0) return false
    this.#socket.write(CLOSE_FRAME)
    return true
  }

  #follow(data: Uint8Array): void {
    if (!this.#isFollowed || this.#isClosed) return
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    if (this.#isWebSocket) this.#readFrames(bytes)
    else this.#readHead(bytes)
  }

  #readHead(data: Buffer): void {
    this.#head += data.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) {
      this.#isFollowed = this.#head.length < MAX_HEAD_LENGTH
      return
    }
    const frames = this.#head.slice(end + 4)
    const head = this.#head.slice(0, end)
    this.#isWebSocket = head.startsWith('HTTP/1.1 101 ') && /^upgrade: *websocket\s*$/im.test(head)
    this.#isFollowed = this.#isWebSocket
    this.#head = ''
    if (this.#isWebSocket) this.#readFrames(Buffer.from(frames, 'latin1'))
  }

  #readFrames(data: Buffer): void {
    let rest = data
    while (rest.length > 0) {
      const skipped = Math.min(this.#missing, rest.length)
      this.#missing -= skipped
      rest = rest.subarray(skipped)
      if (rest.length > 0) rest = this.#readHeader(rest)
    }
  }

  /** @returns what follows the header; nothing when it is not complete */
  #readHeader(data: Buffer): Buffer {
    const bytes = this.#header.length > 0 ? Buffer.concat([this.#header, data]) : data
    const header = readHeader(bytes)
    if (!header) {
      this.#header = bytes
      return NONE
    }
    this.#header = NONE
    this.#missing = header.payload
    if (header.opcode === CLOSE_OPCODE) this.#isClosed = true
    return bytes.subarray(header.length)
  }
}

/** Reads the header of a WebSocket frame. @returns undefined when it is not complete */
function readHeader(bytes: Buffer): { opcode: number; length: number; payload: number } | undefined {
  if (bytes.length < 2) return undefined
  const short = bytes[1]! & 0x7f
  const sizeBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  const length = 2 + sizeBytes + (bytes[1]! & 0x80 ? 4 : 0)
  if (bytes.length < length) return undefined
  const opcode = bytes[0]! & 0x0f
  if (sizeBytes === 0) return { opcode, length, payload: short }
  return { opcode, length, payload: sizeBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2)) }
}

const encodingOf = (argument: unknown) => (typeof argument === 'string' ? (argument as BufferEncoding) : 'utf8')
