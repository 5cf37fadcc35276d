import type { Socket } from 'node:net'
import { type ProxyHeader, parseProxyHeader } from '../../net/proxy-protocol.ts'

/**
 * Reads the PROXY header of a connection. Bytes behind the header are put back into the socket.
 * @param timeoutMs until the header must be complete
 * @param done is called once, with the header or with the reason why there is none; then the socket is to be destroyed.
 *   `isLast` means that no byte came behind the header yet.
 */
export function readProxyHeader(
  socket: Socket,
  timeoutMs: number,
  done: (header: (ProxyHeader & { isLast: boolean }) | Error) => void
): void {
  let read: Buffer = Buffer.alloc(0)
  const finish = (result: Parameters<typeof done>[0]) => {
    clearTimeout(timer)
    socket.off('readable', onReadable).off('end', onEnd).off('error', onEnd).off('close', onEnd)
    done(result)
  }
  const onReadable = () => {
    for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read()) read = Buffer.concat([read, chunk])
    try {
      const header = parseProxyHeader(read)
      if (!header) return
      const rest = read.subarray(header.length)
      if (rest.length > 0) socket.unshift(rest)
      finish({ ...header, isLast: rest.length === 0 })
    } catch (error) {
      finish(error as Error)
    }
  }
  const onEnd = () => finish(new Error('the connection ended before its PROXY header'))
  const timer = setTimeout(() => finish(new Error(`no PROXY header came in ${timeoutMs} ms`)), timeoutMs)
  socket.on('readable', onReadable).on('end', onEnd).on('error', onEnd).on('close', onEnd)
}
