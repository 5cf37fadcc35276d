// Requests and responses of Node's HTTP/2 compatibility layer, made to behave as those of HTTP/1.1. Their classes are
// documented options of `http2.createServer`; how the layer calls them is not.
import {
  constants,
  Http2ServerRequest,
  Http2ServerResponse,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions
} from 'node:http2'
import type { Socket } from 'node:net'

/** Longer writes are split, so that it can be seen how much of them was sent. In bytes. */
const SLICE = 16 * 1024
const sockets = new WeakMap<object, Socket>()

/** Gives the requests of a session their socket. To be called when the session starts. */
export const setSessionSocket = (session: object, socket: Socket) => void sockets.set(session, socket)

type RequestParts = ConstructorParameters<typeof Http2ServerRequest>

/** A request with the real socket: Node's substitute throws once the session has ended. */
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

  constructor(stream: ServerHttp2Stream, ...rest: RequestParts extends [unknown, ...infer Rest] ? Rest : never) {
    super(stream, ...rest)
    this.#socket = sockets.get(stream.session as object)
  }
}

/**
 * Sends the headers of a response, in place of the stream's own `respond`. The compatibility layer always asks to wait for
 * trailers. END_STREAM then comes in a DATA frame of its own, and a proxy that flushes late (HAProxy: 200 ms) delays the end
 * of every response. Here only a response with a `Trailer` field waits.
 */
function respond(this: ServerHttp2Stream, headers: OutgoingHttpHeaders, options: ServerStreamResponseOptions): void {
  const prototype = Object.getPrototypeOf(this) as ServerHttp2Stream
  prototype.respond.call(this, headers, { ...options, waitForTrailers: headers.trailer !== undefined })
}

/** A response that reports how much of it was sent, and `finish` only when all of it was. */
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
  get unsentBytes(): number {
    return this.stream.writableLength
  }

  /** Bytes of the body that were sent, in steps of {@link SLICE}. */
  get sentBytes(): number {
    return this.#written - this.unsentBytes
  }

  /** Writes in slices: Node does not tell how much of one write was sent. `end` calls this too. */
  override write(chunk: string | Uint8Array, ...rest: unknown[]): boolean {
    const callback = rest.find((argument) => typeof argument === 'function') as ((error: Error) => void) | undefined
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8'
    const body = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    this.#written += body.length
    if (body.length <= SLICE) return super.write(body, callback)
    // With `_writev`, the stream would join the slices again.
    Object.assign(this.stream, { _writev: null })
    let offset = 0
    for (; body.length - offset > SLICE; offset += SLICE) super.write(body.subarray(offset, offset + SLICE))
    return super.write(body.subarray(offset), callback)
  }

  /** Leaves out the `connection` header, which HTTP/2 does not have; Node would do so with a warning. */
  override writeHead(
    statusCode: number,
    headers?: OutgoingHttpHeaders | string[] | string,
    more?: OutgoingHttpHeaders | string[]
  ): this {
    const given = typeof headers === 'object' ? headers : (more ?? {})
    if (Array.isArray(given)) {
      const isSent = (i: number) => given[i]!.toLowerCase() !== 'connection'
      return super.writeHead(statusCode, given.filter((_, i) => isSent(i - (i % 2))) as never)
    }
    const { connection: _, ...sent } = given
    return super.writeHead(statusCode, sent)
  }

  /** Node destroys a stream that both sides have ended before it is `writableFinished`, which a request with a body shows. */
  #isSent(): boolean {
    const { writableFinished, writableLength, rstCode } = this.stream
    return this.writableEnded && (writableFinished || (rstCode === constants.NGHTTP2_NO_ERROR && writableLength === 0))
  }

  /** Suppresses `finish` for a response that was cut off. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'finish' && !this.#isSent()) return false
    return super.emit(event as string, ...args)
  }
}

/** The compatibility layer cannot be observed without a session, so its source is searched for the calls. */
export function probeHttp2(): Record<string, boolean> {
  const { prototype } = Http2ServerResponse
  const sources = Reflect.ownKeys(prototype).map((key) =>
    String(Object.getOwnPropertyDescriptor(prototype, key)?.value ?? '')
  )
  return {
    'http2 compat calls stream.respond': sources.some((source) =>
      /waitForTrailers: true[\s\S]*\.respond\(/.test(source)
    ),
    'http2.Http2ServerResponse#end calls write': /this\.write\(/.test(String(prototype.end))
  }
}
