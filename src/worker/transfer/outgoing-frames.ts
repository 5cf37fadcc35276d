import type { Socket } from 'node:net'
import { FrameTracker } from './frame-tracker.ts'

/** The status code 1012: the service restarts, and the client should connect again. */
const RESTART = 1012
/** A close frame of a server: FIN and opcode 8, two bytes of payload. */
export const CLOSE_FRAME = Buffer.from([0x88, 0x02, RESTART >> 8, RESTART & 0xff])
const MAX_HEAD_LENGTH = 16 * 1024

/**
 * Follows what a library writes to a connection after an upgrade: whether it is a WebSocket, and where its frames end. A close
 * frame can then be written between two frames, whatever library owns the socket.
 */
export class OutgoingFrames {
  /** The answer to the upgrade, if it is one to WebSocket. */
  answer: string | undefined
  readonly #socket: Socket
  readonly #frames = new FrameTracker()
  /** The answer, until it is complete. */
  #head = ''
  /** False when the connection turned out to be no WebSocket. */
  #isFollowed = true

  /** Must be called before the library answers the upgrade. */
  constructor(socket: Socket) {
    this.#socket = socket
    const { write } = socket
    const isOwn = Object.hasOwn(socket, 'write')
    const follow: typeof socket.write = (data: Uint8Array | string, ...rest: unknown[]) => {
      const [encoding] = rest
      this.#follow(typeof data === 'string' ? Buffer.from(data, encodingOf(encoding)) : data)
      if (!this.#isFollowed && socket.write === follow) {
        if (isOwn) socket.write = write
        else Reflect.deleteProperty(socket, 'write')
      }
      return (write as (...args: unknown[]) => boolean).call(socket, data, ...rest)
    }
    socket.write = follow
  }

  /** Whether it is a WebSocket to which no close frame was written. */
  get isOpen(): boolean {
    return (
      this.answer !== undefined && !this.#frames.isClosing && !this.#socket.destroyed && !this.#socket.writableEnded
    )
  }

  get isBetweenMessages(): boolean {
    return this.#frames.restBytes === 0 && !this.#frames.inMessage
  }

  /** Writes a close frame with the code 1012. @returns false in the middle of another frame, or when there is nothing to close */
  close(): boolean {
    if (!this.isOpen || this.#frames.restBytes > 0) return false
    this.#socket.write(CLOSE_FRAME)
    return true
  }

  #follow(data: Uint8Array): void {
    if (!this.#isFollowed || this.#frames.isClosing) return
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    if (this.answer === undefined) this.#readHead(bytes)
    else this.#frames.read(bytes)
  }

  #readHead(data: Buffer): void {
    this.#head += data.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) {
      this.#isFollowed = this.#head.length < MAX_HEAD_LENGTH
      return
    }
    const frames = this.#head.slice(end + 4)
    const head = this.#head.slice(0, end + 2)
    this.#head = ''
    this.#isFollowed = head.startsWith('HTTP/1.1 101 ') && fieldOf(head, 'upgrade')?.toLowerCase() === 'websocket'
    if (!this.#isFollowed) return
    this.answer = head
    this.#frames.read(Buffer.from(frames, 'latin1'))
  }
}

/** @returns the value of a field; undefined when the head has none */
export function fieldOf(head: string, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*?) *\\r?$`, 'im').exec(head)?.[1]
}

const encodingOf = (argument: unknown) => (typeof argument === 'string' ? (argument as BufferEncoding) : 'utf8')
