import { lookup } from 'node:dns/promises'
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { isSocketPath, listenError, StartupError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import { AcceptedConnections } from '../../net/accepted-connections.ts'
import {
  type AcceptingHandle,
  acceptHandles,
  type BoundHandle,
  bindDescriptor,
  bindTcp,
  bindUnix,
  boundPort,
  type ListeningHandle,
  listeningHandleOf,
  listenOnHandle,
  supportsReusePort
} from '../../node-internals/listening-handle.ts'
import type { TcpHandle } from './routed-connection.ts'

/** The port as the primary holds it. */
export interface Port {
  /** The port number, the real one when PORT is 0; undefined for a Unix socket. */
  readonly number: number | undefined
  /** The socket that all workers listen on, when workers accept by themselves (`shared`). */
  readonly shared?: BoundHandle
  /** Returns the handle that accepts in the primary, if any. */
  readonly handle?: () => ListeningHandle | null
  /** Starts to accept on a socket that came from another primary. Other sockets accept from the beginning. */
  accept?(): void
  /** Closes the port. Connections that were accepted before have been passed on by then. */
  close(): Promise<void>
}

export type PortConfig = Pick<Config, 'scheduling' | 'host' | 'port' | 'listenFd' | 'reusePortLoss'>

type BindConfig = Pick<PortConfig, 'host' | 'port' | 'listenFd'>

const BACKLOG = 1024
const MIGRATE_SYSCTL = '/proc/sys/net/ipv4/tcp_migrate_req'

/**
 * Takes the port as SCHEDULING says, or the socket that the primary was started with.
 * @param accept gets the bare handle of every connection that the primary accepts
 * @throws StartupError
 */
export async function takePort(config: PortConfig, accept: (handle: TcpHandle) => void, log: Logger): Promise<Port> {
  try {
    switch (config.scheduling) {
      case 'rr':
      case 'sticky':
        return await acceptInPrimary(config, accept, log)
      case 'shared':
        return await holdForWorkers(config)
      case 'reuseport':
        return leaveToWorkers(config, process.versions.node, kernelMigratesConnections())
    }
  } catch (error) {
    if (error instanceof StartupError) throw error
    if (config.listenFd === undefined) throw listenError(error as NodeJS.ErrnoException, config.host, config.port)
    throw new StartupError(`cannot listen on the descriptor ${config.listenFd}: ${(error as Error).message}`)
  }
}

/**
 * Takes ADMIN_PORT. The primary accepts on it with every SCHEDULING, because its connections are few.
 * @throws StartupError
 */
export async function takeAdminPort(
  { host, port }: { host: string; port: number },
  accept: (handle: TcpHandle) => void,
  log: Logger
): Promise<Port> {
  try {
    return await acceptInPrimary({ host, port, listenFd: undefined }, accept, log)
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, host, port, 'ADMIN_')
  }
}

/**
 * Takes over the listening socket of the primary that this one replaces.
 * @param handle of the socket @param number of its port
 * @param isPassed the socket came from systemd, which owns the file of a Unix socket
 */
export function adoptPort(
  { scheduling, host }: Pick<PortConfig, 'scheduling' | 'host'>,
  { handle, number, isPassed }: InheritedPort,
  accept: (handle: TcpHandle) => void,
  log: Logger
): Port {
  const unlink = () => {
    if (isSocketPath(host) && !isPassed) rmSync(host, { force: true })
  }
  if (scheduling === 'shared') {
    const shared = handle as BoundHandle
    return { number, shared, close: async () => unlink() }
  }
  const listening = handle as AcceptingHandle
  const connections = new AcceptedConnections()
  let isOpen = true
  return {
    number,
    handle: () => (isOpen ? listening : null),
    accept: () => {
      acceptHandles(listening, connections.counted(accept), (status) =>
        log.error({ status }, 'a connection could not be accepted')
      )
      listenOnHandle(listening, BACKLOG)
    },
    close: async () => {
      await connections.noneWaits()
      isOpen = false
      listening.close()
      unlink()
    }
  }
}

/** A listening socket of another primary. */
export interface InheritedPort {
  handle: object
  /** Undefined for a Unix socket. */
  number: number | undefined
  isPassed: boolean
}

/** Opens the port at once; connections wait in the primary until a worker is ready. */
async function acceptInPrimary(config: BindConfig, accept: (handle: TcpHandle) => void, log: Logger): Promise<Port> {
  const bound = await bind(config)
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd: bound.handle.fd, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const listening = listeningHandleOf(server)!
  const connections = new AcceptedConnections()
  // No net.Socket is ever made in the primary: the bare handle is passed on.
  acceptHandles(listening, connections.counted(accept), (status) =>
    log.error({ status }, 'a connection could not be accepted')
  )
  const close = async () => {
    await connections.noneWaits()
    // Before the server, which takes a millisecond to close what may have new connections by then.
    listening.close()
    server.close()
    bound.unlink()
  }
  return { number: bound.port, handle: () => listeningHandleOf(server), close }
}

/**
 * Binds and holds the socket; workers listen and accept on it. After the first worker has listened, the kernel listens as long
 * as any process has the socket open, so connections wait there while no worker lives.
 */
async function holdForWorkers(config: PortConfig): Promise<Port> {
  const { handle, port } = await bind(config)
  // Closing the handle also removes the file of a Unix socket.
  return { number: port, shared: handle, close: async () => handle.close() }
}

interface Bound {
  /** A server that listens on the descriptor of this handle also closes it; the handle is then left alone. */
  handle: BoundHandle
  /** Undefined for a Unix socket. */
  port: number | undefined
  /** Removes the file of a Unix socket. */
  unlink(): void
}

/** Binds HOST and PORT, or the Unix socket that HOST names, or takes over the descriptor that was given. */
async function bind({ host, port, listenFd }: BindConfig): Promise<Bound> {
  if (listenFd === undefined && isSocketPath(host)) return bindPath(host)
  const handle = listenFd === undefined ? await bindHost(host, port) : bindDescriptor(listenFd)
  const number = boundPort(handle)
  if (number !== undefined) return { handle, port: number, unlink: () => {} }
  handle.close()
  throw new Error('it is no TCP socket')
}

async function bindHost(host: string, port: number): Promise<BoundHandle> {
  const { address, family } = await lookup(host)
  return bindTcp(address, port, family)
}

/** Replaces a socket file that no process listens on. Every local user may connect, as to a port on loopback. */
async function bindPath(path: string): Promise<Bound> {
  const handle = await bindUnixOrReplace(path)
  chmodSync(path, 0o666)
  return { handle, port: undefined, unlink: () => rmSync(path, { force: true }) }
}

async function bindUnixOrReplace(path: string): Promise<BoundHandle> {
  try {
    return bindUnix(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStaleSocket(path))) throw error
    rmSync(path)
    return bindUnix(path)
  }
}

/** @returns whether the path is a socket that no process listens on; false for any other file, which is never removed */
function isStaleSocket(path: string): Promise<boolean> {
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
 * Leaves the port to the workers: each listens on a socket of its own. When a worker stops, the kernel resets the connections
 * in its queue, unless it may migrate them to another worker.
 * @param node version of Node, such as "22.12.0"
 * @param migrates whether the kernel migrates connections
 * @throws StartupError when connections would be lost, unless REUSEPORT_LOSS accepts that
 */
export function leaveToWorkers(config: PortConfig, node: string, migrates: boolean): Port {
  if (!supportsReusePort(node)) {
    throw new StartupError(
      `SCHEDULING=reuseport needs Node 22.12 or newer, and this is ${node}: set SCHEDULING to shared or rr`
    )
  }
  if (!migrates && config.reusePortLoss !== 'allow') {
    throw new StartupError(
      'SCHEDULING=reuseport loses connections at every reload on this machine: the kernel resets those that wait at a ' +
        'worker that ends. Set sysctl net.ipv4.tcp_migrate_req=1 (Linux 5.14 or newer) to let it migrate them, set ' +
        'REUSEPORT_LOSS=allow to accept the loss, or set SCHEDULING=shared, which loses none'
    )
  }
  return { number: config.port, close: async () => {} }
}

function kernelMigratesConnections(): boolean {
  try {
    return readFileSync(MIGRATE_SYSCTL, 'utf8').trim() === '1'
  } catch {
    return false
  }
}
