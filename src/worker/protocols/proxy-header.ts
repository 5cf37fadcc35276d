import type { Socket } from 'node:net'
import { type ProxyHeader, parseProxyHeader } from '../../net/proxy-protocol.ts'

/**
 * Takes the PROXY header off a connection; what came behind it is left in the socket.
 * @param ms the header must be whole by then
 * @param done is called once, with what was read, or with why there is no header: the socket is then to be destroyed
 */
export function takeProxyHeader(
  socket: Socket,
  ms: number,
  done: (header: (ProxyHeader & { isLast: boolean }) | Error) => void
): void {
  let read: Buffer = Buffer.alloc(0)
  const finish = (result: Parameters<typeof done>[0]) => {
    clearTimeout(timer)
    socket.off('readable', look).off('end', gone).off('error', gone).off('close', gone)
    done(result)
  }
  const look = () => {
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
  const gone = () => finish(new Error('the connection ended before its PROXY header'))
  const timer = setTimeout(() => finish(new Error(`no PROXY header came in ${ms} ms`)), ms)
  socket.on('readable', look).on('end', gone).on('error', gone).on('close', gone)
}
