import { lookup } from 'node:dns/promises'
import { bindTcp, boundPort, reopen } from '../../node-internals/listening-handle.ts'

/**
 * Binds a socket of this process, beside those of other processes on the same port.
 * @returns a handle to listen on, which can be paused
 * @throws Error with a `code`
 */
export async function bindReusePort(port: number, host: string): Promise<object> {
  const { address, family } = await lookup(host)
  const handle = bindTcp(address, port, family, true)
  // Reports a port that is in use.
  boundPort(handle)
  return reopen(handle)
}
