import type { Config } from '../config/load.ts'
import type { ServiceView } from '../ipc/messages.ts'
import { transferStep } from '../ipc/transfer-protocol.ts'
import type { ConnectionHandle } from '../node-internals/tcp-handle.ts'
import type { ConnectionDetails } from './connections/connection-registry.ts'
import type { Connections } from './connections/connections.ts'
import type { DrainOptions } from './connections/drain.ts'
import type { PrimaryChannel } from './primary-client.ts'
import { ConnectionRebalancer } from './rebalancing/connection-rebalancer.ts'
import type { Shutdown } from './shutdown.ts'

/** How long a drain reads on after FIN. */
const LINGER_MS = 2000

/** Serves the connections that the primary sends, and confirms each. @param capacity see {@link watchCapacity} */
export function takeConnections(
  channel: PrimaryChannel,
  connections: Connections,
  capacity: () => number | undefined
): void {
  channel.on('connection', ({ id, ...details }, handle) => {
    if (!handle) return
    if (!details.resume) connections.acceptor.accept(handle, details)
    const room = capacity()
    const sent = channel.notify({ type: 'accepted', id, ...(room !== undefined && { room }) })
    if (details.resume) void sent.then((isSent) => resumeWhenAccepted(isSent, connections, handle, details))
  })
}

/** @returns a function that returns the state of the whole service, as the primary last reported it */
export function followClusterView(channel: PrimaryChannel, connections: Connections): () => ServiceView {
  let view: ServiceView = { state: 'starting', desired: 0, workers: [], redis: false }
  channel.on('service', (message) => {
    view = message.view
    if (view.state === 'draining') connections.announceClose()
  })
  return () => view
}

/**
 * Gives connections to less busy workers, drains and ends this worker when the primary asks for it.
 * @returns a function to be called when the primary is gone
 */
export function followPrimary(
  channel: PrimaryChannel,
  connections: Connections,
  shutdown: Shutdown,
  { http, tls }: Pick<Config, 'tls'> & { http: Pick<Config['http'], 'keepAliveMs'> }
): () => void {
  const rebalancer = rebalanceOnRequest(connections, channel)
  const send: DrainOptions['transfer'] = (id, handle, idleMs, origin, resume) =>
    channel.notify({ type: 'transfer', id, idleMs, ...(origin && { origin }), ...(resume && { resume }) }, handle)
  channel.on('transferred', ({ id, lost }) => {
    rebalancer.onTransferred(id, lost)
    shutdown.onTransferred(id, lost)
  })
  const fin = { graceMs: http.keepAliveMs + 1000, lingerMs: LINGER_MS }
  channel.on('drain', ({ transfer, resumes = false, deadlineMs, lingerTimeoutMs, snapshot }) => {
    const options: DrainOptions = {
      ...fin,
      // The keys of a TLS connection exist only in this process.
      transfer: transfer && !tls ? send : undefined,
      resumes: resumes && transfer && !tls,
      portCloses: !transfer,
      deadlineMs,
      lingerTimeoutMs,
      onSettled: (waitsFor, report) => void channel.notify({ type: 'settled', waitsFor, report })
    }
    rebalancer.stop()
    shutdown.start(options, snapshot)
  })
  channel.on('finish', ({ transfer, deadlineMs }) => {
    if (transfer) shutdown.limit(deadlineMs)
    else shutdown.hurry({ ...fin, deadlineMs })
  })
  return () => {
    rebalancer.stop()
    shutdown.startAsOrphan()
  }
}

/** Gives connections to less busy workers when the primary asks for it. */
function rebalanceOnRequest(connections: Connections, channel: PrimaryChannel): ConnectionRebalancer {
  const rebalancer = new ConnectionRebalancer({
    connections,
    send: (id, handle, idleMs, origin, target) =>
      channel.notify({ type: 'transfer', id, idleMs, target, ...(origin && { origin }) }, handle),
    onDone: (moved) => void channel.notify({ type: 'rebalanced', moved })
  })
  channel.on('rebalance', ({ type: _, ...rebalance }) => rebalancer.start(rebalance))
  return rebalancer
}

/** Takes over a connection in use, of which the primary knows now that it is this worker's. */
function resumeWhenAccepted(
  isSent: boolean,
  { acceptor }: Connections,
  handle: object,
  details: ConnectionDetails
): void {
  const { action } = transferStep('new', 'received', isSent ? 'accepted-sent' : 'not-sent')
  if (action === 'serve') acceptor.accept(handle, details)
  else (handle as ConnectionHandle).close()
}
