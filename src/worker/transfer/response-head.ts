import type { Socket } from 'node:net'

type WriteCallback = (error?: Error | null) => void

/** An interim response, such as 103 Early Hints. A client that has had its response expects none. */
const INTERIM = /^HTTP\/1\.1 1(?!01)/
/** How long a client may take to end its side of a connection that is ended here, in ms. */
const LINGER_MS = 2000

/**
 * Takes the head of the next response out of what is written to a socket: the client has had one already. What follows the head
 * is sent.
 * @param fits whether the response continues the one that the client has had
 * @param last returns what is sent in place of another response, before FIN
 */
export function dropResponseHead(socket: Socket, fits: (head: string) => boolean, last: () => Buffer): void {
  const { write, end, destroy } = socket
  let state: 'head' | 'passes' | 'ended' = 'head'
  let seen = ''

  /** Ends the response that the client knows, in place of the one that the app writes. */
  const endInstead = () => {
    state = 'ended'
    end.call(socket, last())
    // Bytes that the client still sends must be read: the kernel would reset the connection, and the client might lose the end.
    socket.resume()
    const timer = setTimeout(() => destroy.call(socket), LINGER_MS)
    socket.once('end', () => destroy.call(socket))
    socket.once('close', () => clearTimeout(timer))
  }
  /** @returns what follows the head, as far as it was written */
  const readHead = (data: unknown, encoding: unknown): string => {
    seen += latin1(data, encoding)
    for (let at = seen.indexOf('\r\n\r\n'); at >= 0; at = seen.indexOf('\r\n\r\n')) {
      const head = seen.slice(0, at + 4)
      seen = seen.slice(at + 4)
      if (INTERIM.test(head)) continue
      if (fits(head)) {
        state = 'passes'
        return seen
      }
      endInstead()
      break
    }
    return ''
  }

  socket.write = ((...args: Parameters<Socket['write']>) => {
    if (state === 'passes') return write.apply(socket, args)
    const rest = state === 'head' ? readHead(args[0], args[1]) : ''
    const done = args.find((arg) => typeof arg === 'function') as WriteCallback | undefined
    if (rest !== '') return write.call(socket, rest, 'latin1', done)
    if (done) process.nextTick(done)
    return true
  }) as Socket['write']
  socket.end = ((...args: Parameters<Socket['end']>) => {
    if (state === 'passes') return end.apply(socket, args)
    const [data] = args as unknown[]
    if (state === 'head' && data && typeof data !== 'function') socket.write(data as string)
    // A response that ends before its head does not fit.
    if (state === 'head') endInstead()
    return socket
  }) as Socket['end']
  // An app may refuse a request without a word.
  socket.destroy = (error?: Error) => {
    if (state === 'passes' || error) return destroy.call(socket, error)
    if (state === 'head') endInstead()
    return socket
  }
}

function latin1(data: unknown, encoding: unknown): string {
  if (typeof data !== 'string') return Buffer.from(data as Uint8Array).toString('latin1')
  return Buffer.from(data, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8').toString('latin1')
}
