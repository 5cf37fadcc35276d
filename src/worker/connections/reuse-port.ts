import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'

/** What node:net itself uses: a handle that is bound and does not listen, or a negative errno. */
const { _createServerHandle: createHandle } = net as unknown as {
  _createServerHandle(address: string, port: number, family: number, fd: undefined, flags: number): BoundHandle | number
}
interface BoundHandle {
  readonly fd: number
  readonly constructor: new (type: number) => BoundHandle
  open(fd: number): number
  getsockname(out: object): number
  close(): void
}

/** TCPConstants.SERVER of node. */
const SERVER = 1
/** UV_TCP_REUSEPORT of libuv 1.49, in Node 22.12. Before, it is no flag of IPv4 and an invalid one of IPv6. */
const REUSE_PORT = 2
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const FLAGS = major > 22 || (major === 22 && minor >= 12) ? REUSE_PORT : 0

/**
 * Binds a socket of this process, beside those of others on the same port.
 * @returns a handle to listen on. It was opened by its descriptor, so that it can be paused, see AcceptGate.
 * @throws Error with a `code`
 */
export async function bindReusePort(port: number, host: string): Promise<object> {
  const { address, family } = await lookup(host)
  const handle = createHandle(address, port, family, undefined, FLAGS)
  if (typeof handle === 'number') throw systemError(handle)
  // A port that is taken is known here already, though libuv would say so only to who listens.
  const status = handle.getsockname({})
  if (status !== 0) {
    handle.close()
    throw systemError(status)
  }
  // The first handle is never closed: both have the same descriptor, which closes with the second.
  const opened = new handle.constructor(SERVER)
  const failed = opened.open(handle.fd)
  if (failed) throw systemError(failed)
  return opened
}

function systemError(errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(code), { code })
}
