import type { IncomingMessage, ServerResponse } from 'node:http'
import { replyOf } from '../../http/plugins/log/in-flight.ts'
import { setDraining } from '../../http/transferable.ts'
import type { Resume } from '../../ipc/messages.ts'
import { sentHead } from '../../node-internals/http-server.ts'
import { handleOf } from '../../node-internals/tcp-handle.ts'
import type { Connection } from '../connections/connection.ts'
import { EventIds } from './event-ids.ts'
import { type Exchange, type Readiness, requestHead } from './exchange.ts'

/** Whether this head of a response begins an event stream that another worker can continue: it is chunked and not compressed. */
export function isEventStream(head: string): boolean {
  const fields = head.toLowerCase()
  return (
    fields.startsWith('http/1.1 200 ') &&
    fields.includes('\r\ntransfer-encoding: chunked\r\n') &&
    fields.includes('\r\ncontent-type: text/event-stream') &&
    !fields.includes('\r\ncontent-encoding:')
  )
}

/** Whether the next worker can get the same request: it is all of what the client sends on this connection. */
export function isResumableRequest({ method, httpVersion, headers }: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': coding, expect } = headers
  return method === 'GET' && httpVersion === '1.1' && length === '0' && coding === undefined && expect === undefined
}

/** The response of a GET that may be an event stream. It moves between two events. */
export class EventStreamExchange implements Exchange {
  readonly request: IncomingMessage
  readonly #response: ServerResponse
  readonly #connection: Connection
  readonly #ids: EventIds
  /** Bytes that were received with the request. */
  readonly #bytesRead: number
  readonly #draining = new AbortController()
  /** Undefined until the head is sent. */
  #isEventStream: boolean | undefined

  constructor(connection: Connection, response: ServerResponse) {
    const { req } = response
    this.request = req
    this.#response = response
    this.#connection = connection
    this.#ids = new EventIds(req.headers['last-event-id'] as string | undefined)
    this.#bytesRead = connection.socket.bytesRead
    setDraining(req, this.#draining.signal)
    followWrites(response, this.#ids)
  }

  get readiness(): Readiness {
    const { busy, socket, raw } = this.#connection
    const response = this.#response
    if (!response.headersSent) return 'busy'
    this.#isEventStream ??= isEventStream(sentHead(response))
    if (response.writableEnded || socket.readableEnded || !this.#isEventStream) return 'never'
    // The client has sent another request, or a part of it.
    if (busy > 1 || socket.bytesRead !== this.#bytesRead) return 'never'
    const isFlushed = response.writableLength === 0 && handleOf(raw)?.writeQueueSize === 0
    return isFlushed && this.#ids.betweenEvents ? 'ready' : 'busy'
  }

  async prepare(): Promise<boolean> {
    return true
  }

  describe(): Resume {
    return {
      kind: 'stream',
      head: requestHead(this.request, { 'last-event-id': this.#ids.lastId }),
      requestId: replyOf(this.request)?.request.id
    }
  }

  stay(): void {
    this.#draining.abort()
  }
}

/** Lets `ids` read what a handler writes. */
function followWrites(response: ServerResponse, ids: EventIds): void {
  const { write } = response
  response.write = function (this: ServerResponse, ...args: unknown[]) {
    const [chunk, encoding] = args
    if (chunk)
      ids.write(chunk as string | Uint8Array, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    return write.apply(this, args as Parameters<typeof write>)
  } as typeof write
}
