import type { Socket } from 'node:net'
import type { Peer } from '../../ipc/messages.ts'

/** The peer of a Unix socket. Its clients are processes of this machine, so they count as loopback. */
export const LOCAL_PEER: Peer = { address: '127.0.0.1', port: 0 }

/** Replaces the socket's `remoteAddress`, `remotePort` and `remoteFamily`, which the kernel named, by those of a peer. */
export function setPeer(socket: Socket, { address, port }: Peer): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: address },
    remotePort: { value: port },
    remoteFamily: { value: address.includes(':') ? 'IPv6' : 'IPv4' }
  })
}

/** Gives a TLS socket the peer that was set on the TCP socket below it, if any. */
export function inheritPeer(socket: Socket, raw: Socket): void {
  if (!Object.hasOwn(raw, 'remoteAddress')) return
  setPeer(socket, { address: raw.remoteAddress as string, port: raw.remotePort as number })
}

/**
 * Returns whether the client reset the connection before its address was read. The kernel still hands out what had arrived,
 * but knows no address any more. Node remembers an address, so this concerns only the first request of a connection.
 */
export const isReset = (socket: Socket): boolean => socket.remoteAddress === undefined
