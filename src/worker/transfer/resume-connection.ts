import type { Socket } from 'node:net'
import type { Resume } from '../../ipc/messages.ts'
import { isEventStream } from './event-stream-exchange.ts'
import { CLOSE_FRAME, fieldOf } from './outgoing-frames.ts'
import { dropResponseHead } from './response-head.ts'

/** The last chunk of a chunked response. */
const END_OF_CHUNKS = Buffer.from('0\r\n\r\n')
/**
 * Continues an exchange of another worker on its connection: the HTTP server gets the request as if the client had sent it now, and
 * the head of the response, which the client has had, is dropped. A response that does not continue the first one ends the
 * connection in order, and the client connects again. To be called before the server gets the socket.
 */
export function resumeConnection(socket: Socket, { kind, head, more }: Resume): void {
  // Node's HTTP parser takes bytes that were put back before it reads from the connection.
  socket.unshift(Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(more ?? '', 'base64')]))
  if (kind === 'stream') {
    dropResponseHead(socket, isEventStream, () => END_OF_CHUNKS)
    return
  }
  const protocol = fieldOf(head, 'sec-websocket-protocol')
  const fits = (answer: string) =>
    answer.startsWith('HTTP/1.1 101 ') && fieldOf(answer, 'sec-websocket-protocol') === protocol
  dropResponseHead(socket, fits, () => CLOSE_FRAME)
}
