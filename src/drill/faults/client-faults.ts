import { HttpConnection } from '../load/http-connection.ts'
import type { SlowSeen } from '../observations.ts'
import type { Fault, FaultContext } from './fault.ts'

const CLIENTS = 20
const EVERY_MS = 400
/** What Node and the service add to HEADERS_TIMEOUT before they close a connection. */
const MARGIN_MS = 10_000
const MAX_HEADERS_MS = 30_000
const BEGINNING = 'GET /livez HTTP/1.1\r\nhost: localhost\r\n'

/** Clients whose head of a request has no end. */
const slowClients: Fault = {
  name: 'slow-clients',
  needsMs: ({ settings }) => settings.headersMs + MARGIN_MS / 2,
  cannot({ settings: { headersMs, maxConnectionsPerClient } }) {
    if (headersMs > MAX_HEADERS_MS) return `HEADERS_TIMEOUT is ${headersMs} ms, longer than a drill waits`
    const isLimited = maxConnectionsPerClient > 0 && maxConnectionsPerClient < 2 * CLIENTS
    return isLimited ? `MAX_CONNECTIONS_PER_CLIENT is ${maxConnectionsPerClient}` : undefined
  },
  run: async (context) => ({ slow: await watchSlowClients(context) })
}

async function watchSlowClients({ settings, address, watch, undo, waits }: FaultContext): Promise<SlowSeen> {
  const limitMs = settings.headersMs + MARGIN_MS
  const connections: HttpConnection[] = []
  const end = undo.add(() => {
    clearInterval(timer)
    for (const connection of connections) connection.close()
  })
  const timer = setInterval(() => {
    for (const connection of connections) connection.write('x: y\r\n')
  }, EVERY_MS)
  const opened = Array.from({ length: CLIENTS }, () => HttpConnection.open(address, limitMs))
  for (const one of await Promise.allSettled(opened)) if (one.status === 'fulfilled') connections.push(one.value)
  for (const connection of connections) connection.write(BEGINNING)
  const closed = () => connections.filter(({ ended }) => ended).length
  const since = performance.now()
  const elapsedMs = () => performance.now() - since - waits.between(since, performance.now())
  while (closed() < connections.length && elapsedMs() < limitMs) await watch.pause(EVERY_MS)
  const seen = { clients: connections.length, closed: closed(), limitMs }
  await end()
  return seen
}

export const CLIENT_FAULTS = [slowClients]
