import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setResumption } from '../../http/transferable.ts'
import { connectionOf } from '../connections/connection.ts'
import { IncomingFrames } from '../transfer/incoming-frames.ts'
import { OutgoingFrames } from '../transfer/outgoing-frames.ts'

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

/** Records connections that change to another protocol. WebSockets are followed: a drain transfers or closes them. */
export function markUpgrades(server: Server): void {
  whenListenedTo(server, () => {
    server.prependListener('upgrade', (request, socket) => {
      const connection = connectionOf(socket as Socket)
      if (!connection) return
      connection.upgraded = true
      const { resumption } = connection
      if (resumption) setResumption(request, resumption)
      connection.resumption = undefined
      connection.webSocket = new OutgoingFrames(connection.socket)
      connection.incoming = new IncomingFrames(connection.socket)
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
