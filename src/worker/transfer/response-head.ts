import type { Socket } from 'node:net'

type WriteCallback = (error?: Error | null) => void

/** An interim response, such as 103 Early Hints. A client that has had its response expects none. */
const INTERIM = /^HTTP\/1\.1 1(?!01)/

/**
 * Takes the head of the next response out of what is written to a socket: the client has had one already. What follows the head
 * is sent.
 * @param fits whether the response continues the one that the client has had
 * @param end what is sent in place of another response, before FIN
 */
export function dropResponseHead(socket: Socket, fits: (head: string) => boolean, end: () => Buffer): void {
  let seen = ''
  const take = (data: unknown, encoding: unknown): string => {
    seen += typeof data === 'string' ? Buffer.from(data, encoding as BufferEncoding).toString('latin1') : latin1(data)
    for (;;) {
      const at = seen.indexOf('\r\n\r\n')
      if (at < 0) return ''
      const head = seen.slice(0, at + 4)
      seen = seen.slice(at + 4)
      if (INTERIM.test(head)) continue
      restore(socket)
      if (fits(head)) return seen
      endInstead(socket, end())
      return ''
    }
  }
  socket.write = function (this: Socket, data: unknown, ...args: unknown[]) {
    const rest = take(data, typeof args[0] === 'string' ? args[0] : 'utf8')
    const done = args.find((arg) => typeof arg === 'function') as WriteCallback | undefined
    if (rest !== '') return this.write(rest, 'latin1', done)
    if (done) process.nextTick(done)
    return true
  } as Socket['write']
  socket.end = function (this: Socket, data?: unknown, ...args: unknown[]) {
    if (data && typeof data !== 'function') this.write(data as string, args[0] as BufferEncoding)
    // Nothing fits that ends before its head.
    if (Object.hasOwn(this, 'end')) {
      restore(this)
      endInstead(this, end())
    }
    return this
  } as Socket['end']
}

const latin1 = (data: unknown) => Buffer.from(data as Uint8Array).toString('latin1')

function restore(socket: Socket): void {
  Reflect.deleteProperty(socket, 'write')
  Reflect.deleteProperty(socket, 'end')
}

/** Sends the end of the response that the client knows, and nothing of the one that the app writes. */
function endInstead(socket: Socket, last: Buffer): void {
  socket.end(last, () => socket.destroy())
  socket.write = ((_data: unknown, ...args: unknown[]) => {
    const done = args.find((arg) => typeof arg === 'function') as WriteCallback | undefined
    if (done) process.nextTick(done)
    return true
  }) as Socket['write']
  socket.end = function (this: Socket) {
    return this
  } as Socket['end']
}
