import cluster from 'node:cluster'
import { hostname } from 'node:os'
import { pathToFileURL } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { createLog, type Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import { loadIdentity } from '../config/worker-environment.ts'
import { buildApp } from '../http/app.ts'
import { changesOf, createRegistry, readRegistry } from '../http/plugins/metrics/metric-registry.ts'
import { type Channel, createChannel } from '../ipc/channel.ts'
import type {
  CertificatePair,
  PrimaryRequests,
  ServiceView,
  ToPrimary,
  ToWorker,
  WorkerRequests
} from '../ipc/messages.ts'
import { AcceptGate } from '../net/accept-gate.ts'
import { Descriptors } from '../net/file-descriptors.ts'
import { RedisConnection, warnOfEviction } from '../state/redis/redis-connection.ts'
import { SessionSecrets } from '../state/sessions/session-secret.ts'
import type { Settings } from '../state/shared/settings.ts'
import { SharedState } from '../state/shared/shared-state.ts'
import { Connections } from './connections/connections.ts'
import { Drain, type DrainOptions } from './connections/drain.ts'
import { exposeInFlight } from './connections/list-in-flight.ts'
import { watchRoom } from './connections/remaining-capacity.ts'
import { cutSlowClients } from './connections/slow-clients.ts'
import { answerForDiagnostics, writeHeapSnapshot } from './diagnostics.ts'
import { startHeartbeat } from './heartbeat.ts'
import { listen } from './listen.ts'
import { describeSyntaxError, stackOf } from './load-error.ts'
import { primaryOf } from './primary-client.ts'
import { answerForSessions, answerForShared } from './state-commands.ts'

/** The primary answers a scrape after its own deadline for the workers, 1 s; this one only catches a dead primary. */
const COLLECT_MS = 2000
/** The primary answers at once. */
const CERTIFICATES_MS = 5000
/** Whoever watches sees it every second; what is later is not waited for. */
const PULSE_MS = 500
/** When the primary is dead, nobody waits for this worker: everything is to be gone within 4 s. */
const ORPHAN = { graceMs: 1000, lingerMs: 500, deadlineMs: 3000 }
const LINGER_MS = 2000
/** Beyond what the primary ever has under way to one worker: 4 connections, or with sticky 1024, and those of drains. */
const LOW_ROOM = 64
const LOW_ROOM_STICKY = 1100
const BAD_HEADER_QUIET_MS = 60_000
const RELAY_MARGIN_MS = 1000

type Identity = ReturnType<typeof loadIdentity>
type PrimaryChannel = Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>

/**
 * A worker's whole life: state → app → listen → ready → serve → drain → exit 0.
 * @param loadConfig what it throws, the primary is told: files of the configuration may be others than at its own start
 */
export async function runWorker(loadConfig: (pair?: CertificatePair) => Config): Promise<void> {
  const identity = loadIdentity()
  const channel: PrimaryChannel = createChannel(process)
  // It is read by the primary, which may be gone: what is in flight is to be finished all the same.
  process.stderr.on('error', () => {})
  channel.on('ticket-keys', ({ keys }) => void (identity.ticketKeys = Buffer.from(keys, 'base64')))
  try {
    // A primary of an older version does not know the question: the files are read then.
    const pair = await channel.request('certificates', {}, CERTIFICATES_MS).catch(() => null)
    await serve(loadConfig(pair ?? undefined), identity, channel)
  } catch (error) {
    const known = error instanceof StartupError
    const why = known ? error.message : `worker ${identity.slot} cannot boot: ${stackOf(error)}`
    await channel.notify({ type: 'boot-failed', why })
    process.exit(EXIT_CONFIG)
  }
}

async function serve(config: Config, identity: Identity, channel: PrimaryChannel): Promise<void> {
  const { slot, generation, instance } = identity
  const self = { slot, pid: process.pid, generation, host: hostname() }
  const log = await createLog(config, { role: 'worker', worker: slot, generation })
  const draining = new AbortController()
  let view: ServiceView = { state: 'starting', desired: 0, workers: [], redis: false }
  channel.on('service', (message) => {
    view = message.view
    if (view.state === 'draining') connections.announceClose()
  })

  const link = new RedisConnection(config.redis.url!, config.redis.timeoutMs, log, config.redis)
  const sessionSecrets = new SessionSecrets(link, slot === 0 ? log : undefined, config.session.secrets)
  link.on('change', (up) => void channel.notify({ type: 'redis', up }))
  const shared = new SharedState({
    link,
    log,
    self,
    instance,
    draining: draining.signal,
    // The primary answers at the deadline; what is added here only catches a dead one.
    relay: (message) => channel.request('broadcast', message, message.deadlineMs + RELAY_MARGIN_MS)
  })
  let booted!: () => void
  answerForShared(channel, shared, new Promise<void>((resolve) => (booted = resolve)))
  if (slot === 0) link.once('change', () => void warnOfEviction(link.client, log))
  if (slot === 0 && config.tls && config.tls.expiresAt < Date.now()) {
    log.warn({ expired: new Date(config.tls.expiresAt) }, 'the certificate in TLS_CERT has expired')
  }

  let connections!: Connections
  const registry = createRegistry()
  const [routes] = await Promise.all([
    loadRoutes(config),
    link.start(async () => {
      await sessionSecrets.check()
      await shared.settings.read()
    })
  ])
  followSettings(log, shared.settings, config.logLevel)
  const app = await buildApp({
    config,
    log,
    worker: self,
    redis: link,
    shared,
    sessionSecrets: sessionSecrets.list,
    registry,
    cluster: () => view,
    collectMetrics: () => channel.request('collect-metrics', {}, COLLECT_MS),
    workerRequestCounts: () => channel.request('request-counts', {}, PULSE_MS),
    draining: draining.signal,
    routes,
    serverFactory: (handler) => {
      connections = new Connections(
        config.http,
        handler,
        config.tls && { ...config.tls, ticketKeys: identity.ticketKeys }
      )
      channel.on('ticket-keys', ({ keys }) => connections.setTicketKeys(Buffer.from(keys, 'base64')))
      return connections.server
    },
    connections: {
      isIdleTransferred: (socket) => connections.isIdleAdopted(socket),
      afterPendingInput: (socket, end) => connections.afterPendingInput(socket, end),
      acceptPauses: () => gate?.pauses ?? 0,
      isAdminSocket: (socket) => connections.isAdmin(socket),
      refusalCounts: () => connections.refused
    },
    primary: primaryOf(channel, () => connections)
  })
  logBadProxyHeaders(connections, log)
  exposeInFlight(connections.all)
  cutSlowClients(connections.all, config.http)
  booted()
  channel.respond('ping', () => null)
  channel.respond('metrics', () => readRegistry(registry))
  answerForSessions(channel, app.sessions)
  answerForDiagnostics(channel)

  let gate: AcceptGate | undefined
  let room: (() => number | undefined) | undefined
  channel.on('connection', ({ id, ...arrival }, handle) => {
    if (!handle) return
    connections.adopt(handle, arrival)
    const left = room?.()
    void channel.notify({ type: 'accepted', id, ...(left !== undefined && { room: left }) })
  })
  const changedCounts = changesOf(registry)
  /** What this worker has counted is not to end with it. */
  const tellCounts = async () => {
    const families = await changedCounts()
    if (families.length > 0) void channel.notify({ type: 'counters', families })
  }
  let drain: Drain | undefined
  channel.on('transferred', ({ id, lost }) => drain?.moved(id, lost))

  /** Empties this worker and leaves. */
  const leave = async (options: DrainOptions, snapshot?: string) => {
    if (drain) return
    drain = new Drain(connections, options)
    connections.refuseNew()
    draining.abort()
    const [connectionStats] = await Promise.all([drain.run(), shared.ended(options.deadlineMs)])
    log.info({ connections: connectionStats }, 'drained')
    if (snapshot) await writeHeapSnapshot(snapshot).catch((error: unknown) => log.error({ err: error }, 'no snapshot'))
    if (process.connected) await channel.request('drained', connectionStats, 1000).catch(() => {})
    // Who waits for the primary gets its answer yet: it may be about this very worker.
    await drain.left
    await app.close().catch((error: unknown) => log.warn({ err: error }, 'closing the app'))
    shared.stop()
    sessionSecrets.stop()
    link.stop()
    await tellCounts()
    // An answer is behind all that was said before: an exit may be seen before what is still on its way.
    if (process.connected) await channel.request('request-counts', {}, 1000).catch(() => {})
    process.exit(0)
  }
  channel.on('drain', ({ transfer, deadlineMs, snapshot }) => {
    const options = {
      // What a connection of TLS has agreed on is in this process.
      handOver:
        transfer && !config.tls
          ? (id, handle, idleMs, origin) =>
              channel.notify({ type: 'transfer', id, idleMs, ...(origin && { origin }) }, handle)
          : undefined,
      graceMs: config.http.keepAliveMs + 1000,
      lingerMs: LINGER_MS,
      deadlineMs
    } satisfies DrainOptions
    void leave(options, snapshot)
  })
  cluster.worker!.on('disconnect', () => {
    log.warn('the primary is gone: finishing what is in flight')
    // Without this, node exits a worker at once when its primary is gone.
    cluster.worker!.exitedAfterDisconnect = true
    if (drain) drain.hurry(ORPHAN)
    else void leave(ORPHAN)
  })

  await shared.start()
  sessionSecrets.watch()
  gate = new AcceptGate(new Descriptors((limit) => Math.min(64, limit / 8)), log)
  gate.add(() => connections.listeningHandle)
  const low = config.scheduling === 'sticky' ? LOW_ROOM_STICKY : LOW_ROOM
  room = watchRoom(connections, gate, low, (left) => void channel.notify({ type: 'room', room: left }))
  await listen(config, connections, channel, log)
  startHeartbeat(connections, (heartbeat) => {
    void channel.notify({ type: 'heartbeat', heartbeat: { ...heartbeat, room: room?.() } })
    void tellCounts()
  })
  await channel.notify({ type: 'redis', up: link.up })
  await channel.notify({ type: 'ready' })
}

/** Once a minute: a proxy that is set up wrong opens many connections. */
function logBadProxyHeaders(connections: Connections, log: Logger): void {
  let quietUntil = 0
  connections.onBadProxyHeader = (from, why) => {
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + BAD_HEADER_QUIET_MS
    log.warn({ from, why }, 'connection without a valid PROXY header closed')
  }
}

/** Logs what is changed, at the level that the settings say; where they say none, at that of LOG_LEVEL. */
function followSettings(log: Logger, settings: Settings, logLevel: string): void {
  const setLevel = () => {
    log.level = settings.get('logLevel') ?? logLevel
  }
  setLevel()
  settings.onChange('logLevel', setLevel)
  settings.onChange((setting) => log.info({ setting, version: settings.version }, 'a setting changed'))
}

/** The user's plugin, or the example's routes. */
async function loadRoutes(config: Config): Promise<FastifyPluginAsync> {
  if (!config.app) return (await import('../routes/index.ts')).default
  const url = pathToFileURL(config.app)
  const module = (await import(url.href).catch(async (error: unknown) => {
    if (!(error instanceof SyntaxError)) throw error
    throw new StartupError(`APP cannot be loaded: ${await describeSyntaxError(error, url)}`)
  })) as { default?: unknown }
  // A CommonJS module compiled from `export default` has it one level deeper.
  const plugin =
    typeof module.default === 'function' ? module.default : (module.default as { default?: unknown })?.default
  if (typeof plugin === 'function') return plugin as FastifyPluginAsync
  throw new StartupError(`APP: the default export of ${config.app} is no Fastify plugin, but ${typeof module.default}`)
}
