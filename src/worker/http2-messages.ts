import { Http2ServerRequest, Http2ServerResponse, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'

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

/** Node's, in what an answer of HTTP/1.1 does otherwise. */
export class Response extends Http2ServerResponse<Request> {
  static {
    Object.defineProperty(Response.prototype, 'writableNeedDrain', {
      get(this: Response) {
        return this.stream.writableNeedDrain
      }
    })
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
