import {
  Http2ServerRequest,
  Http2ServerResponse,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions
} from 'node:http2'
import type { Socket } from 'node:net'

const SLICE = 16 * 1024
const sockets = new WeakMap<object, Socket>()

/** To be called when a session begins: its requests have this socket. */
export const namesItsSocket = (session: object, socket: Socket) => void sockets.set(session, socket)

type RequestParts = ConstructorParameters<typeof Http2ServerRequest>

/** Node's, with the real socket: the one that stands for it in node throws once the session has ended. */
export class Request extends Http2ServerRequest {
  readonly #socket: Socket | undefined

  static {
    const socket = {
      get(this: Request) {
        return this.#socket
      }
    }
    Object.defineProperties(Request.prototype, { socket, connection: socket })
  }

  constructor(stream: ServerHttp2Stream, ...others: RequestParts extends [unknown, ...infer Others] ? Others : never) {
    super(stream, ...others)
    this.#socket = sockets.get(stream.session as object)
  }
}

/**
 * Sends the head of a response, in place of the stream's own `respond`. Node's compatibility layer always asks to wait for
 * trailers; then END_STREAM comes in a DATA frame of its own after the body, and a proxy that flushes late (HAProxy: 200 ms)
 * holds the end of every response back. Here only a response with a `Trailer` field waits.
 */
function respond(this: ServerHttp2Stream, headers: OutgoingHttpHeaders, options: ServerStreamResponseOptions): void {
  const prototype = Object.getPrototypeOf(this) as ServerHttp2Stream
  prototype.respond.call(this, headers, { ...options, waitForTrailers: headers.trailer !== undefined })
}

/** Node's response, with what a response of HTTP/1.1 does differently. */
export class Response extends Http2ServerResponse<Request> {
  static {
    Object.defineProperty(Response.prototype, 'writableNeedDrain', {
      get(this: Response) {
        return this.stream.writableNeedDrain
      }
    })
  }

  /** Bytes of the body that were written so far. */
  #written = 0

  constructor(stream: ServerHttp2Stream) {
    super(stream)
    stream.respond = respond as ServerHttp2Stream['respond']
  }

  /** Bytes of the body that wait for the client. */
  get unsent(): number {
    return this.stream.writableLength
  }

  /** Bytes of the body that were sent, in steps of {@link SLICE}. */
  get taken(): number {
    return this.#written - this.unsent
  }

  /** In slices: of what is written at once, node does not tell how much was sent. `end` comes here, too. */
  override write(chunk: string | Uint8Array, ...rest: unknown[]): boolean {
    const callback = rest.find((argument) => typeof argument === 'function') as ((error: Error) => void) | undefined
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8'
    const body = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    this.#written += body.length
    if (body.length <= SLICE) return super.write(body, callback)
    // Node would join the slices again.
    Object.assign(this.stream, { _writev: null })
    let offset = 0
    for (; body.length - offset > SLICE; offset += SLICE) super.write(body.subarray(offset, offset + SLICE))
    return super.write(body.subarray(offset), callback)
  }

  /** What is about the connection has no place here; node would leave it out with a warning. */
  override writeHead(statusCode: number, headers?: OutgoingHttpHeaders | string, more?: OutgoingHttpHeaders): this {
    const { connection: _, ...sent } = typeof headers === 'object' ? headers : (more ?? {})
    return super.writeHead(statusCode, sent)
  }

  /** Node says `finish` of an answer that was cut off, too. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'finish' && !(this.writableEnded && this.stream.writableFinished)) return false
    return super.emit(event as string, ...args)
  }
}
