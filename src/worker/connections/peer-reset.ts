import type { Socket } from 'node:net'
import type { Peer } from '../../ipc/messages.ts'

/** Clients of a Unix socket are processes of this machine: they count as coming from loopback. */
export const LOCAL_PEER: Peer = { address: '127.0.0.1', port: 0 }

/** Whether a handle is of a Unix socket: node gives those no `getpeername`. */
export const isUnixHandle = (handle: object): boolean => !('getpeername' in handle)

/** From now on the socket's `remoteAddress` is the peer's, in place of what the kernel says. */
export function setPeer(socket: Socket, { address, port }: Peer): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: address },
    remotePort: { value: port },
    remoteFamily: { value: address.includes(':') ? 'IPv6' : 'IPv4' }
  })
}

/** Gives a TLS socket the peer that was set on the TCP socket below it. */
export function inheritPeer(socket: Socket, raw: Socket): void {
  if (!Object.hasOwn(raw, 'remoteAddress')) return
  setPeer(socket, { address: raw.remoteAddress as string, port: raw.remotePort as number })
}

/**
 * Whether the client has reset the connection before its address was read: the kernel still hands out what had arrived, but
 * knows no address any more. Node remembers an address that was read, so this concerns the first request of a connection.
 */
export const isReset = (socket: Socket): boolean => socket.remoteAddress === undefined
