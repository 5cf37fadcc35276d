import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectionOf } from '../connections/connection.ts'
import { OutgoingFrames } from './outgoing-frames.ts'

/**
 * Runs `start` as soon as a server has a listener of `upgrade`. A listener of ours alone would make Node treat every request with
 * an `Upgrade` header as one.
 */
function whenListenedTo(server: Server, start: () => void): void {
  if (server.listenerCount('upgrade') > 0) {
    start()
    return
  }
  const watch = (name: string | symbol) => {
    if (name !== 'upgrade') return
    server.off('newListener', watch)
    start()
  }
  server.on('newListener', watch)
}

/** Records connections that change to another protocol: they cannot be transferred, and WebSockets are closed in a drain. */
export function markUpgrades(server: Server): void {
  whenListenedTo(server, () => {
    server.prependListener('upgrade', (_request, socket) => {
      const connection = connectionOf(socket as Socket)
      if (!connection) return
      connection.upgraded = true
      connection.webSocket = new OutgoingFrames(connection.socket)
    })
  })
}

/** Gives the upgrades that `from` receives to `to`, when that one listens to them. */
export function forwardUpgrades(from: Server, to: Server): void {
  whenListenedTo(to, () => {
    from.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      to.emit('upgrade', request, socket, head)
    })
  })
}
