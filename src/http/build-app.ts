import { setMaxListeners } from 'node:events'
import type { FastifyInstance, FastifyPluginAsync, FastifyServerFactory, FastifyServerOptions } from 'fastify'
import type { Registry } from 'prom-client'
import type { CommandRegistry } from '../admin/registry.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import type { Collection, ServiceView, WorkerRequestCount } from '../ipc/messages.ts'
import type { RedisClient, RedisConnection } from '../state/redis/redis-connection.ts'
import { SafeSessionStore } from '../state/sessions/session-store.ts'
import type { SharedState } from '../state/shared/shared-state.ts'
import type { AppOptions } from './app-options.ts'
import { provideRedis } from './app-redis.ts'
import { checkServed } from './check-app-options.ts'
import type { ServerConnections } from './client-errors.ts'
import { createFastify } from './create-fastify.ts'
import { handleErrors } from './error-handling.ts'
import { consolePage } from './pages/console-page.ts'
import { profilesPage } from './pages/profiles-page.ts'
import { separatePorts } from './plugins/admin/admin-port.ts'
import { admin, type PrimaryClient } from './plugins/admin/admin-routes.ts'
import { demo } from './plugins/demo.ts'
import { health } from './plugins/health.ts'
import { limits } from './plugins/limits/limits.ts'
import { refuseInMaintenance } from './plugins/limits/maintenance.ts'
import { rateLimit } from './plugins/limits/rate-limit.ts'
import { checkRequestTimeouts } from './plugins/limits/request-timeout.ts'
import { completion } from './plugins/log/completion.ts'
import { inFlight } from './plugins/log/in-flight.ts'
import { requestLog } from './plugins/log/request-log.ts'
import { measureCertificate, measureRefusals } from './plugins/metrics/connection-metrics.ts'
import { metrics } from './plugins/metrics/metrics-endpoint.ts'
import { measureRequests } from './plugins/metrics/request-metrics.ts'
import { measureState } from './plugins/metrics/state-metrics.ts'
import { createOpenApi, type DescribeRoutes, openapi } from './plugins/openapi.ts'
import type { QuarantineGuard } from './plugins/quarantine/quarantine-guard.ts'
import { resumable } from './plugins/resumable.ts'
import { identifyClients } from './plugins/security/client-identity.ts'
import { refuseCrossSite } from './plugins/security/same-origin.ts'
import { createSessions } from './plugins/session/app-sessions.ts'
import { sessions } from './plugins/session/session-plugin.ts'
import type { Tracing } from './plugins/tracing/tracing.ts'
import type { WorkerInfo } from './public-types.ts'
import { answerNotFound } from './routing/not-found.ts'
import { RouteIndex } from './routing/route-index.ts'
import { ServiceRoutes } from './routing/service-routes.ts'

/** The app that is served, as its module exports it. */
export interface ServedApp {
  plugin: FastifyPluginAsync
  /** `export const options`: options of the Fastify instance. */
  serverOptions: FastifyServerOptions
  /** `export const muster`: what the service adds to the app. */
  options: AppOptions
  /** What kind of app the plugin mounts, such as `express`; undefined when the app is a plugin itself. */
  mounted?: string
  /** The app may not understand requests of HTTP/2. */
  needsHttp1?: boolean
}

/** Everything that an app gets from the process it runs in. */
export interface AppDeps {
  config: Pick<Config, 'app' | 'demo' | 'http' | 'session' | 'admin' | 'runDir' | 'metricsTokens' | 'tls' | 'adminPort'>
  log: Logger
  worker: WorkerInfo
  redis: RedisConnection
  shared: SharedState
  /** Secrets of session cookies: the first signs, all verify. Empty until the shared secret was read. */
  sessionSecrets: readonly string[]
  registry: Registry
  /** Returns the state of the service as the primary last reported it. */
  cluster: () => ServiceView
  /** Collects the metrics of all processes. */
  collectMetrics: () => Promise<Collection>
  /** Asks the primary for the request count of every worker. */
  workerRequestCounts: () => Promise<WorkerRequestCount[]>
  /** Aborted when this worker starts to drain. */
  draining: AbortSignal
  primary: PrimaryClient
  /** Undefined: all admin commands. */
  commands?: CommandRegistry
  served: ServedApp
  /** Undefined: Fastify's own server. */
  serverFactory?: FastifyServerFactory
  /** Undefined when the server is Fastify's own. */
  connections?: ServerConnections
  /** Undefined where there is no primary. */
  quarantine?: QuarantineGuard
  /** Undefined: nothing is traced. */
  tracing?: Tracing | undefined
}

/** Builds the app, ready to listen or to inject, from an explicit, ordered list of plugins. It knows nothing of processes. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config, connections, redis, registry, served, shared, tracing } = deps
  checkServed(served)
  const app = createFastify(served.serverOptions, deps)
  const forwardedOf = identifyClients(app, config.http)
  const store = new SafeSessionStore({ connection: redis, log: app.log, hits: shared.hits, ...config.session })
  decorate(app, deps, store)

  const index = new RouteIndex(app)
  handleErrors(app)
  await app.register(completion)
  if (tracing) await app.register(tracing.plugin)
  await app.register(requestLog, { tracing })
  await app.register(inFlight, { quarantine: deps.quarantine })
  const createRouteSeries = measureRequests(app, tracing)
  measureCertificate(registry, config.tls)
  measureRefusals(registry, {
    refusalCounts: () => connections?.refusalCounts() ?? {},
    acceptPauses: () => connections?.acceptPauses() ?? 0
  })
  measureState(registry, { redis, hits: shared.hits, store })
  checkRequestTimeouts(app)
  await app.register(resumable)
  await app.register(limits, { config, forwardedOf, options: served.options })
  const isAtPort = config.adminPort && connections && separatePorts(app, (socket) => connections.isAdminSocket(socket))
  await app.register(rateLimit, deps)
  const describe = createOpenApi(app, config.app, served.options.openapi || {})
  // Before the routes of the service, so that a path of the app wins.
  const notFound = answerNotFound({ index, isAtPort, methodCheck: served.options.methodCheck !== false })
  await app.register(appScope(deps, store, notFound))
  const routes = await addServiceRoutes(app, index, describe, deps)
  createRouteSeries()
  await app.ready()
  if (deps.worker.slot === 0 && routes.leftToApp.length > 0) {
    app.log.info({ routes: routes.leftToApp }, 'routes of the service left to the app')
  }
  return app
}

/** Adds the service's own routes, except those that the app has. */
async function addServiceRoutes(
  app: FastifyInstance,
  index: RouteIndex,
  describe: DescribeRoutes,
  deps: AppDeps
): Promise<ServiceRoutes> {
  const routes = new ServiceRoutes(index, deps.served.options)
  await app.register(metrics, { ...deps, routes })
  await app.register(health, { routes, redis: deps.redis })
  await app.register(openapi, { describe, routes })
  await app.register(admin, { ...deps, describe, routes })
  await app.register(consolePage, { ...deps, routes })
  await app.register(profilesPage, { ...deps, routes })
  if (deps.config.demo) await app.register(demo, { ...deps, routes })
  return routes
}

function decorate(app: FastifyInstance, deps: AppDeps, store: SafeSessionStore): void {
  // Every stream adds a listener.
  setMaxListeners(0, deps.draining)
  app.decorate('sessions', createSessions(store))
  app.decorate('shared', deps.shared)
  app.decorate<RedisClient>('redis', deps.redis.client)
  app.decorate('metrics', deps.registry)
  app.decorate('draining', deps.draining)
  app.decorate('worker', deps.worker)
  app.decorate('cluster', deps.cluster)
  app.decorate('workerRequestCounts', deps.workerRequestCounts)
}

/** The scope of the app: with sessions, closed in maintenance, and protected from pages of other sites. */
function appScope(
  { redis, sessionSecrets, served, tracing }: AppDeps,
  store: SafeSessionStore,
  notFound: FastifyPluginAsync
): FastifyPluginAsync {
  return async (scope) => {
    refuseInMaintenance(scope)
    if (served.options.sessions !== false) await scope.register(sessions, { redis, sessionSecrets, store, tracing })
    // After the sessions: it runs before a session is loaded.
    if (served.options.crossSiteCheck !== false) refuseCrossSite(scope)
    provideRedis(scope, redis.client)
    // In a scope of its own: its decorators take the place of those with the same names.
    await scope.register(async (inner) => {
      await inner.register(withoutScope(served.plugin))
      // Among the hooks of the app, which may answer requests that no route matches: middleware does.
      await inner.register(notFound)
    })
  }
}

/** @returns the plugin, with no scope of its own: its hooks and decorators are those of the instance that registers it */
export function withoutScope(plugin: FastifyPluginAsync): FastifyPluginAsync {
  // A copy, because the app may register the same function elsewhere.
  return Object.assign(plugin.bind(undefined), plugin, { [Symbol.for('skip-override')]: true })
}
