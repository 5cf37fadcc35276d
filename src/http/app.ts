import { setMaxListeners } from 'node:events'
import cookie from '@fastify/cookie'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyServerFactory,
  LogController
} from 'fastify'
import type { Registry } from 'prom-client'
import type { CommandRegistry } from '../admin/registry.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import type { Collection, ServiceView, WorkerRequestCount } from '../ipc/messages.ts'
import type { RedisClient, RedisConnection } from '../state/redis/redis-connection.ts'
import { SafeSessionStore } from '../state/sessions/session-store.ts'
import type { SharedState } from '../state/shared/shared-state.ts'
import { answerClientError, handleErrors, type ServerConnections } from './error-handling.ts'
import { consolePage } from './pages/console-page.ts'
import { separatePorts } from './plugins/admin-port.ts'
import { admin, type PrimaryClient } from './plugins/admin-routes.ts'
import { health } from './plugins/health.ts'
import { limits } from './plugins/limits/limits.ts'
import { refuseInMaintenance } from './plugins/limits/maintenance.ts'
import { rateLimit } from './plugins/limits/rate-limit.ts'
import { completion } from './plugins/log/completion.ts'
import { inFlight } from './plugins/log/in-flight.ts'
import { identifyRequests, requestLog } from './plugins/log/request-log.ts'
import { measureCertificate, measureRefusals } from './plugins/metrics/connection-metrics.ts'
import { metrics } from './plugins/metrics/metrics-endpoint.ts'
import { measureRequests } from './plugins/metrics/request-metrics.ts'
import { measureState } from './plugins/metrics/state-metrics.ts'
import { docs } from './plugins/openapi.ts'
import { identifyClients } from './plugins/security/client-identity.ts'
import { refuseCrossSite } from './plugins/security/same-origin.ts'
import { createSessions } from './plugins/session/app-sessions.ts'
import { sessions } from './plugins/session/session-plugin.ts'

/** Who serves; part of the answers so that people see which worker they met. */
export interface WorkerInfo {
  slot: number
  pid: number
  generation: number
  host: string
}

/** Everything an app needs of the process it runs in. */
export interface AppDeps {
  config: Pick<Config, 'http' | 'session' | 'admin' | 'runDir' | 'metricsTokens' | 'tls' | 'adminPort'>
  log: Logger
  worker: WorkerInfo
  redis: RedisConnection
  shared: SharedState
  /** What signs session cookies: the first signs, all verify; empty until it is known. */
  sessionSecrets: readonly string[]
  registry: Registry
  /** The service as the primary last told it. */
  cluster: () => ServiceView
  /** Asks every process for its metrics. */
  collectMetrics: () => Promise<Collection>
  /** Asks the primary what every worker has served. */
  workerRequestCounts: () => Promise<WorkerRequestCount[]>
  /** Aborted when this worker begins to leave: what would never end by itself ends then. */
  draining: AbortSignal
  primary: PrimaryClient
  /** The admin commands; default: all of them. */
  commands?: CommandRegistry
  /** The routes: those of src/routes/, or the user's own. */
  routes: FastifyPluginAsync
  serverFactory?: FastifyServerFactory
  connections?: ServerConnections
}

declare module 'fastify' {
  interface FastifyInstance {
    /** State that all workers share. */
    shared: Omit<SharedState, 'start' | 'stop' | 'ended' | 'deliver'>
    /** The worker's one Redis client: commands of a turn are pipelined by themselves. */
    redis: RedisClient
    /** The worker's own Prometheus registry; what is registered here is on /metrics, merged over all workers. */
    metrics: Registry
    /** Aborted when this worker begins to leave; for streams and other work without an end. */
    draining: AbortSignal
    worker: WorkerInfo
    cluster: () => ServiceView
    /** What every worker has served. Rejects when the primary does not say. */
    workerRequestCounts: () => Promise<WorkerRequestCount[]>
  }
}

/** The app, ready to listen or to inject: an explicit, ordered list. It knows nothing of processes. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config, log } = deps
  // Every stream listens to it.
  setMaxListeners(0, deps.draining)
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    ...identifyRequests,
    bodyLimit: config.http.bodyBytes,
    keepAliveTimeout: config.http.keepAliveMs,
    requestTimeout: config.http.requestMs,
    routerOptions: { ignoreTrailingSlash: true },
    ...(deps.serverFactory && { serverFactory: deps.serverFactory }),
    clientErrorHandler: (error, socket) => answerClientError(error, socket, deps.connections)
  })

  const forwardedOf = identifyClients(app, config.http)
  const store = new SafeSessionStore({ link: deps.redis, log: app.log, ...config.session })
  app.decorate('sessions', createSessions(store))
  app.decorate('shared', deps.shared)
  app.decorate<RedisClient>('redis', deps.redis.client)
  app.decorate('metrics', deps.registry)
  app.decorate('draining', deps.draining)
  app.decorate('worker', deps.worker)
  app.decorate('cluster', deps.cluster)
  app.decorate('workerRequestCounts', deps.workerRequestCounts)

  const withSessions: FastifyPluginAsync = async (scope) => {
    refuseInMaintenance(scope)
    refuseCrossSite(scope)
    // What a form of another site can send, and no route here means.
    scope.removeContentTypeParser('text/plain')
    await scope.register(cookie)
    await scope.register(sessions, { ...deps, store })
    await scope.register(deps.routes)
  }
  const refuseOtherMethods = handleErrors(app)
  await app.register(completion)
  await app.register(requestLog)
  await app.register(inFlight)
  const createRouteSeries = measureRequests(app)
  measureCertificate(deps.registry, config.tls)
  measureRefusals(deps.registry, {
    refusalCounts: () => deps.connections?.refusalCounts() ?? {},
    acceptPauses: () => deps.connections?.acceptPauses() ?? 0
  })
  measureState(deps.registry, { redis: deps.redis, hits: deps.shared.hits, store })
  await app.register(limits, { ...deps, forwardedOf })
  const { connections } = deps
  if (config.adminPort && connections) separatePorts(app, (socket) => connections.isAdminSocket(socket))
  await app.register(rateLimit, deps)
  await app.register(metrics, deps)
  await app.register(docs)
  await app.register(health)
  await app.register(admin, deps)
  await app.register(consolePage, deps)
  await app.register(withSessions)
  createRouteSeries()
  refuseOtherMethods()
  await app.ready()
  return app
}
