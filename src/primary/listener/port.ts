import { lookup } from 'node:dns/promises'
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs'
import net, { connect, createServer, type Server } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { isSocketPath, listenError, StartupError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import type { ListeningHandle } from '../../net/accept-gate.ts'
import type { TcpHandle } from './connection-router.ts'

/** The port as the primary has it. */
export interface Port {
  /** Its number, the true one where PORT is 0; undefined for a Unix socket. */
  readonly number: number | undefined
  /** Where workers accept by themselves: the socket that all of them listen on. */
  readonly shared?: SharedHandle
  /** The handle that accepts here, if any. */
  readonly handle?: () => ListeningHandle | null
  /** Lets go of it; whatever was accepted here has been passed on by then. */
  close(): Promise<void>
}

export type PortConfig = Pick<Config, 'scheduling' | 'host' | 'port' | 'listenFd' | 'reusePortLoss'>

type BindConfig = Pick<PortConfig, 'host' | 'port' | 'listenFd'>

/** A bound socket, of TCP or a Unix one, which has no `getsockname`. */
interface SharedHandle {
  readonly fd: number
  getsockname?(out: { port?: number }): number
  close(): void
}
type ListeningServer = Server & {
  _handle: ListeningHandle & { onconnection: (status: number, handle: TcpHandle | undefined) => void }
}
/**
 * What node:cluster itself uses: a handle that is bound and does not listen, or a negative errno. With port and family -1
 * the address is the path of a Unix socket.
 */
const { _createServerHandle: createHandle } = net as unknown as {
  _createServerHandle(address: string | null, port: number, family: number, fd?: number): SharedHandle | number
}

const BACKLOG = 1024
const MIGRATION = '/proc/sys/net/ipv4/tcp_migrate_req'

/**
 * Takes the port the way SCHEDULING says, or the socket that was given from outside in its place.
 * @param accept gets every connection that the primary itself accepts
 * @throws StartupError
 */
export async function takePort(config: PortConfig, accept: (handle: TcpHandle) => void, log: Logger): Promise<Port> {
  try {
    switch (config.scheduling) {
      case 'rr':
      case 'sticky':
        return await acceptHere(config, accept, log)
      case 'shared':
        return await holdForWorkers(config)
      case 'reuseport':
        return leaveToWorkers(config, process.versions.node, migrates())
    }
  } catch (error) {
    if (error instanceof StartupError) throw error
    if (config.listenFd === undefined) throw listenError(error as NodeJS.ErrnoException, config.host, config.port)
    throw new StartupError(`cannot listen on the descriptor ${config.listenFd}: ${(error as Error).message}`)
  }
}

/**
 * Takes ADMIN_PORT, which the primary accepts on whatever SCHEDULING says: its connections are few.
 * @throws StartupError
 */
export async function takeAdminPort(
  { host, port }: { host: string; port: number },
  accept: (handle: TcpHandle) => void,
  log: Logger
): Promise<Port> {
  try {
    return await acceptHere({ host, port, listenFd: undefined }, accept, log)
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, host, port, 'ADMIN_')
  }
}

/** The primary accepts: the port is open from now on, and connections wait until a worker is ready. */
async function acceptHere(config: BindConfig, accept: (handle: TcpHandle) => void, log: Logger): Promise<Port> {
  const bound = await bind(config)
  const server = createServer() as ListeningServer
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd: bound.fd, backlog: BACKLOG }, () => {
      server.off('error', reject)
      // As node's own round robin does: the bare handle is passed on, and no net.Socket is ever made of it here.
      server._handle.onconnection = (status, handle) => {
        if (handle) accept(handle)
        else log.error({ status }, 'a connection could not be accepted')
      }
      const close = async () => {
        // Right after the loop has accepted all there was: what is in the kernel's queue when the port closes is reset.
        await new Promise((resolve) => setImmediate(resolve))
        server.close()
        bound.unlink()
      }
      resolve({ number: bound.port, handle: () => server._handle, close })
    })
  })
}

/**
 * The primary binds and holds the socket, workers listen and accept on it. Once one has, the kernel keeps listening
 * for as long as anybody has it open: connections wait there while no worker lives.
 */
async function holdForWorkers(config: PortConfig): Promise<Port> {
  const { handle, port } = await bind(config)
  // Closing the handle also removes the file of a Unix socket.
  return { number: port, shared: handle, close: async () => handle.close() }
}

interface Bound {
  handle: SharedHandle
  /** The handle's file descriptor. Whoever listens on it by this number also closes it; the handle is then left alone. */
  fd: number
  /** Undefined for a Unix socket. */
  port: number | undefined
  /** Removes the file of a Unix socket. */
  unlink(): void
}

/** Binds HOST and PORT, or the Unix socket that HOST names, or takes the socket that was given from outside. */
async function bind({ host, port, listenFd }: BindConfig): Promise<Bound> {
  if (listenFd === undefined && isSocketPath(host)) return bindPath(host)
  const { address, family } = listenFd === undefined ? await lookup(host) : { address: null, family: 0 }
  const handle = createHandle(address, address === null ? 0 : port, family, listenFd)
  if (typeof handle === 'number') throw systemError(handle)
  const bound: { port?: number } = {}
  // A port that is taken is known here already, though libuv would say so only to who listens.
  const status = handle.getsockname?.(bound)
  if (status === 0 && bound.port !== undefined) return { handle, fd: handle.fd, port: bound.port, unlink: () => {} }
  handle.close()
  throw status ? systemError(status) : new Error('it is no TCP socket')
}

/** Takes the place of a socket file that no process listens on. Every local user may connect, as to a port on loopback. */
async function bindPath(path: string): Promise<Bound> {
  let handle = createHandle(path, -1, -1)
  if (typeof handle === 'number' && getSystemErrorName(handle) === 'EADDRINUSE' && (await isStale(path))) {
    rmSync(path)
    handle = createHandle(path, -1, -1)
  }
  if (typeof handle === 'number') throw systemError(handle)
  chmodSync(path, 0o666)
  return { handle, fd: handle.fd, port: undefined, unlink: () => rmSync(path, { force: true }) }
}

/** Whether the path is a socket that nobody listens on. A file that is no socket is never removed. */
function isStale(path: string): Promise<boolean> {
  if (!statSync(path, { throwIfNoEntry: false })?.isSocket()) return Promise.resolve(false)
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'))
  })
}

/**
 * Every worker listens by itself. When one stops, the kernel resets what is in its queue, unless it may migrate it.
 * @param node version
 * @throws StartupError where that loses connections, unless the loss is accepted
 */
export function leaveToWorkers(config: PortConfig, node: string, migrates: boolean): Port {
  const [major = 0, minor = 0] = node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 12)) {
    throw new StartupError(`SCHEDULING=reuseport needs Node 22.12 or newer, and this is ${node}: take shared, or rr`)
  }
  if (!migrates && config.reusePortLoss !== 'allow') {
    throw new StartupError(
      'SCHEDULING=reuseport loses connections at every reload here: the kernel does not give those that wait at a ' +
        'worker that leaves to the others. Allow it to, by sysctl net.ipv4.tcp_migrate_req=1 (Linux 5.14 or newer), ' +
        'or accept the loss, by REUSEPORT_LOSS=allow, or take SCHEDULING=shared, which loses none'
    )
  }
  return { number: config.port, close: async () => {} }
}

function migrates(): boolean {
  try {
    return readFileSync(MIGRATION, 'utf8').trim() === '1'
  } catch {
    return false
  }
}

function systemError(errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(code), { code })
}
