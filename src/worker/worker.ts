import cluster from 'node:cluster'
import { url as inspectorUrl } from 'node:inspector'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { createLog, type Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import { loadIdentity } from '../config/worker-environment.ts'
import { changesOf, createRegistry, readRegistry } from '../http/plugins/metrics/metric-registry.ts'
import { onTransferable } from '../http/transferable.ts'
import { createChannel } from '../ipc/channel.ts'
import type { CertificatePair } from '../ipc/messages.ts'
import { AcceptGate } from '../net/accept-gate.ts'
import { Descriptors } from '../net/file-descriptors.ts'
import { describeMissingInternals } from '../node-internals/check.ts'
import { probeHttpServer } from '../node-internals/http-server.ts'
import { probeHttp2 } from '../node-internals/http2-messages.ts'
import { reportEndOf } from '../node-internals/ipc-channel.ts'
import { probeListeningHandle } from '../node-internals/listening-handle.ts'
import { probePretendedListening } from '../node-internals/pretended-listening.ts'
import { probeTcpHandle } from '../node-internals/tcp-handle.ts'
import { stackOf } from './app/import-app.ts'
import { reportImports } from './app/report-imports.ts'
import { Connections } from './connections/connections.ts'
import { exposeInFlight } from './connections/list-in-flight.ts'
import { watchCapacity } from './connections/remaining-capacity.ts'
import { cutSlowClients } from './connections/slow-clients.ts'
import { answerDiagnosticRequests } from './diagnostics.ts'
import { followClusterView, followPrimary, takeConnections } from './follow-primary.ts'
import { startHeartbeat } from './heartbeat.ts'
import { answerHostRequests } from './host-requests.ts'
import { announceListening, listen } from './listen.ts'
import { measureOnRequest } from './measuring/measuring.ts'
import { createPrimaryClient, type PrimaryChannel } from './primary-client.ts'
import { followQuarantine } from './quarantine/follow-orders.ts'
import { Shutdown } from './shutdown.ts'
import { answerSessionRequests, answerStateRequests } from './state-commands.ts'
import { createState, startApp } from './worker-state.ts'

/** The primary answers a scrape after its own deadline for the workers, 1 s; this one only catches a dead primary. */
const COLLECT_METRICS_MS = 2000
/** The primary answers at once. */
const CERTIFICATES_MS = 5000
/** Streams show the counts once a second, so a later answer is of no use. */
const REQUEST_COUNTS_MS = 500
/**
 * Below these numbers of file descriptors the primary is told how many are left. They are above what the primary ever has
 * under way to one worker: 4 connections, or 1024 with sticky, and those of drains.
 */
const LOW_CAPACITY = 64
const LOW_CAPACITY_STICKY = 1100
/** A proxy that is set up wrong opens many connections; one line per minute is enough. */
const BAD_HEADER_LOG_INTERVAL_MS = 60_000

type Identity = ReturnType<typeof loadIdentity>

/**
 * Runs a worker for its whole life: state → app → listen → ready → serve → drain → exit 0.
 * @param loadConfig may throw, for example because files have changed since the primary read them; the primary is told
 */
export async function runWorker(loadConfig: (pair?: CertificatePair) => Config): Promise<void> {
  const identity = loadIdentity()
  const channel: PrimaryChannel = createChannel(process)
  reportEndOf(process)
  // The primary reads it and may be gone; requests in flight are finished all the same.
  process.stderr.on('error', () => {})
  channel.on('ticket-keys', ({ keys }) => void (identity.ticketKeys = Buffer.from(keys, 'base64')))
  const reportNow = identity.reportsImports ? helpDevelopment(channel) : undefined
  try {
    const missing = describeMissingInternals([
      probeTcpHandle,
      probeListeningHandle,
      probePretendedListening,
      probeHttpServer,
      probeHttp2
    ])
    if (missing) throw new StartupError(missing)
    // A primary of an older version does not know this request; then the files are read.
    const pair = await channel.request('certificates', {}, CERTIFICATES_MS).catch(() => null)
    await serve(loadConfig(pair ?? undefined), identity, channel)
  } catch (error) {
    reportNow?.()
    const known = error instanceof StartupError
    const why = known ? error.message : `worker ${identity.slot} cannot boot: ${stackOf(error)}`
    await channel.notify({ type: 'boot-failed', why })
    process.exit(EXIT_CONFIG)
  }
}

/** Tells the primary which files to watch, and where a debugger finds this worker. @returns a function that reports all files now */
function helpDevelopment(channel: PrimaryChannel): () => void {
  const inspector = inspectorUrl()
  if (inspector) void channel.notify({ type: 'inspector', port: Number(new URL(inspector).port) })
  return reportImports((files) => void channel.notify({ type: 'imports', files }))
}

async function serve(config: Config, identity: Identity, channel: PrimaryChannel): Promise<void> {
  const { slot, generation } = identity
  const log = await createLog(config, { role: 'worker', worker: slot, generation }, identity.reportsImports)
  // Loaded when it is asked for: other workers need nothing of it.
  const telemetry = config.telemetry && new (await import('./telemetry/telemetry.ts')).Telemetry(config, identity, log)
  const draining = new AbortController()
  const connections = createConnections(config, identity, channel, log)
  const view = followClusterView(channel, connections)
  const gate = new AcceptGate(new Descriptors((limit) => Math.min(64, limit / 8)), log)
  gate.add(() => connections.acceptor.listeningHandle)
  const capacity = watchCapacity(
    connections.registry,
    gate,
    config.scheduling === 'sticky' ? LOW_CAPACITY_STICKY : LOW_CAPACITY,
    (room) => void channel.notify({ type: 'room', room })
  )
  const quarantine = followQuarantine(channel, connections.registry.all, config.runDir)
  const state = createState(config, identity, channel, draining.signal, log)
  telemetry?.traceRedis(state.redis)
  const registry = createRegistry()

  const building = startApp(config, log, {
    ...state,
    registry,
    cluster: view,
    draining: draining.signal,
    collectMetrics: () => channel.request('collect-metrics', {}, COLLECT_METRICS_MS),
    workerRequestCounts: () => channel.request('request-counts', {}, REQUEST_COUNTS_MS),
    serverFactory: (handler) => connections.serve(handler),
    disableHttp2: () => connections.disableHttp2(),
    connections: connections.forApp(() => gate.pauses),
    quarantine: quarantine.guard,
    tracing: telemetry?.tracing,
    primary: createPrimaryClient(channel, (socket) => connections.registry.holdForAdminRequest(socket))
  })
  answerStateRequests(channel, state.shared, building)
  const app = await building
  onTransferable((request, getState) => connections.offer(request, getState))
  connections.onStateProblem = (why, { url = '' }) =>
    log.warn({ why, url: url.split('?', 1)[0] }, 'WebSocket not transferred')
  exposeInFlight(connections.registry.all)
  cutSlowClients(connections.registry.all, config.http, (connection) => connections.refuseLate(connection))
  answerSessionRequests(channel, app.sessions)
  answerHostRequests(channel, state.redis)
  answerDiagnosticRequests(channel)
  measureOnRequest(app, channel)
  channel.respond('ping', () => null)
  channel.respond('metrics', () => readRegistry(registry))
  takeConnections(channel, connections, capacity)
  const changedCounters = changesOf(registry)
  const sendCounters = async () => {
    const families = await changedCounters()
    if (families.length > 0) void channel.notify({ type: 'counters', families })
  }
  const ending = { connections, draining, app, channel, sendCounters, telemetry, log, process }
  const shutdown = new Shutdown({ ...state, ...ending })
  const orphan = followPrimary(channel, connections, shutdown, config)
  cluster.worker!.on('disconnect', () => {
    log.warn('the primary is gone: finishing what is in flight')
    // Otherwise Node exits a worker at once when its primary is gone.
    cluster.worker!.exitedAfterDisconnect = true
    orphan()
  })

  await state.shared.start()
  if (!config.redis.off) state.sessionSecrets.watch()
  await quarantine.start()
  await listen(config, connections.acceptor, channel, log)
  await announceListening(app, state.address)
  startHeartbeat(connections, (measured) => {
    const heartbeat = {
      ...measured,
      room: capacity(),
      waitsFor: shutdown.waitsFor(),
      samples: quarantine.takeSamples()
    }
    void channel.notify({ type: 'heartbeat', heartbeat })
    void sendCounters()
  })
  // Without Redis, readiness does not depend on it.
  await channel.notify({ type: 'redis', up: state.redis.up || config.redis.off })
  await channel.notify({ type: 'ready', resumes: true })
}

function createConnections(config: Config, identity: Identity, channel: PrimaryChannel, log: Logger): Connections {
  const credentials = config.tls && { ...config.tls, ticketKeys: identity.ticketKeys }
  const connections = new Connections(config.http, credentials)
  channel.on('ticket-keys', ({ keys }) => connections.setTicketKeys(Buffer.from(keys, 'base64')))
  let quietUntil = 0
  connections.acceptor.onBadProxyHeader = (from, why) => {
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + BAD_HEADER_LOG_INTERVAL_MS
    log.warn({ from, why }, 'connection without a valid PROXY header closed')
  }
  return connections
}
