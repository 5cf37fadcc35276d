import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyServerOptions,
  InjectOptions,
  LightMyRequestResponse
} from 'fastify'
import type { Redis } from 'ioredis'
import { type Logger, pino } from 'pino'
import type { CommandRegistry } from '../../src/admin/registry.ts'
import { primaryAway } from '../../src/common/errors.ts'
import { type Config, loadConfig } from '../../src/config/load.ts'
import type { AppOptions as ServedAppOptions } from '../../src/http/app-options.ts'
import { buildApp } from '../../src/http/build-app.ts'
import type { PrimaryClient } from '../../src/http/plugins/admin/admin-routes.ts'
import { createRegistry, readRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'
import type { QuarantineGuard } from '../../src/http/plugins/quarantine/quarantine-guard.ts'
import type { Collection, ServiceView, WorkerRequestCount } from '../../src/ipc/messages.ts'
import exampleRoutes, { options as exampleOptions } from '../../src/routes/index.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { SessionSecrets } from '../../src/state/sessions/session-secrets.ts'
import { SharedState } from '../../src/state/shared/shared-state.ts'
import { Connections } from '../../src/worker/connections/connections.ts'
import { cleanup } from './cleanup.ts'
import { startRedis } from './redis.ts'

/** Switches off what a busy machine alone would trigger: Redis timeouts and overload protection. Tests of these set them again. */
const CALM = { REDIS_TIMEOUT: '10000', MAX_LOOP_DELAY: '0' }

type AnyRedis = Pick<Awaited<ReturnType<typeof startRedis>>, 'url' | 'client' | 'pid'>

export interface AppOptions {
  /** A Redis that is there already, as `startRedis` gives it; else one is started for this app. */
  redis?: AnyRedis
  /** Where the app finds its Redis, should that not be the URL of `redis`: at a proxy, say. */
  url?: string
  /** Configuration beside the defaults. */
  env?: Record<string, string>
  /** In place of the example's routes. */
  routes?: FastifyPluginAsync
  /** Options of Fastify that the app exports; default: those of the example, unless there are `routes`. */
  serverOptions?: FastifyServerOptions
  /** What the app says about the service around it. */
  appOptions?: ServedAppOptions
  slot?: number
  /** The admin commands of its HTTP plane; default: all of them. */
  commands?: CommandRegistry
  /** In place of a primary that is away. */
  primary?: PrimaryClient
  /** On a port, with the server of a worker; else there is only `app.inject`. */
  listen?: boolean
  /** How often it sees that no change of settings was missed, in ms; default: never, so that Redis gets no command unasked. */
  beatMs?: number
  /** What refuses and samples its requests; default: nothing does. */
  quarantine?: QuarantineGuard
  log?: Logger
  /** Called with every line of the log; without it, there is none. */
  onLog?: (line: string) => void
}

/** One worker's app, without a worker around it. */
export interface TestApp {
  app: FastifyInstance
  config: Config
  connection: RedisConnection
  server: AnyRedis
  /** A plain client of the same Redis. */
  redis: Redis
  /** What the primary last said of the service; a test may change it. */
  view: ServiceView
  /** What the primary says that workers have served; a test may change it. */
  pulse: WorkerRequestCount[]
  /** What a collection of metrics gives beside this worker's own. */
  collected: Omit<Collection, 'workers'>
  draining: AbortController
  /** Where it listens, if it does. */
  port: number
  /** The connections that it has, if it listens. */
  connections: Connections | undefined
}

/** The real app on a real Redis, wired as a worker does it; closed after the test. */
export async function startApp(t: TestContext, options: AppOptions = {}): Promise<TestApp> {
  const { env = {}, routes = exampleRoutes, slot = 0, beatMs = 0, onLog } = options
  const { serverOptions = options.routes ? {} : exampleOptions } = options
  const server = options.redis ?? (await startRedis(t))
  const config = loadConfig({ ...CALM, ...env })
  const log = options.log ?? (onLog ? pino({ level: 'info' }, { write: onLog }) : pino({ level: 'silent' }))
  const connection = new RedisConnection(options.url ?? server.url, config.redis.timeoutMs, log, config.redis)
  const worker = { slot, pid: process.pid, host: 'test-host' }
  const self = { ...worker, generation: 1 }
  const draining = new AbortController()
  const shared: SharedState = new SharedState({
    connection,
    log,
    self,
    instance: randomUUID(),
    draining: draining.signal,
    // What the primary does: each is alone on its host.
    relay: async ({ deadlineMs: _, ...message }) =>
      shared.deliver(message).then(
        () => ({ acks: [worker], missing: [] }),
        (error: Error) => ({ acks: [], missing: [{ ...worker, why: error.message }] })
      )
  })
  const sessionSecrets = new SessionSecrets(connection, log, config.session.secrets)
  await connection.start(async () => {
    await sessionSecrets.check()
    await shared.settings.read()
  })
  const registry = createRegistry()
  const workers: ServiceView['workers'] = [{ slot, pid: process.pid, generation: 1, status: 'ready' }]
  const view: ServiceView = { state: 'running', desired: 1, workers, redis: true }
  const pulse: WorkerRequestCount[] = [{ pid: process.pid, requests: 0 }]
  const collected: TestApp['collected'] = { primary: [], missing: [] }
  let close = async () => {}
  cleanup(t, async () => {
    draining.abort()
    await shared.ended(10_000)
    await close()
    shared.stop()
    connection.stop()
  })
  const connections = options.listen ? new Connections(config.http) : undefined
  const app = await buildApp({
    ...(connections && {
      serverFactory: (handler) => connections.serve(handler),
      connections: connections.forApp(() => 0)
    }),
    config,
    log,
    worker: self,
    redis: connection,
    shared,
    sessionSecrets: sessionSecrets.list,
    registry,
    cluster: () => view,
    collectMetrics: async () => ({ ...collected, workers: [{ slot, ...(await readRegistry(registry)) }] }),
    workerRequestCounts: async () => pulse,
    draining: draining.signal,
    ...(options.commands && { commands: options.commands }),
    ...(options.quarantine && { quarantine: options.quarantine }),
    primary: options.primary ?? { command: () => Promise.reject(primaryAway(undefined)), watch: () => () => {} },
    served: { plugin: routes, serverOptions, options: options.appOptions ?? {} }
  })
  close = () => {
    // Fastify knows nothing of a port that it did not open itself.
    void connections?.acceptor.stop()
    for (const { socket } of connections?.registry.all ?? []) socket.destroy()
    return app.close()
  }
  await shared.start(beatMs)
  if (connections) await connections.acceptor.startReusePort(0, '127.0.0.1')
  const port = (app.server.address() as AddressInfo | null)?.port ?? 0
  return { app, config, connection, server, redis: server.client, view, pulse, collected, draining, port, connections }
}

/** A client that keeps its session cookie, as a browser does. */
export class Visitor {
  /** The cookie's value as it goes over the wire. */
  cookie: string | undefined
  /** Its name: another one over https. */
  cookieName = 'sid'
  readonly #app: FastifyInstance

  constructor(app: FastifyInstance, cookie?: string) {
    this.#app = app
    this.cookie = cookie
  }

  async request(options: InjectOptions & { path: string }): Promise<LightMyRequestResponse> {
    const { path, headers, ...rest } = options
    const cookie = this.cookie === undefined ? {} : { cookie: `${this.cookieName}=${this.cookie}` }
    const response = await this.#app.inject({ ...rest, url: path, headers: { ...cookie, ...headers } })
    const set = setCookieOf(response)
    if (set) {
      this.cookie = set.gone ? undefined : set.value
      this.cookieName = set.name
    }
    return response
  }

  get(path: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    return this.request({ method: 'GET', path, headers })
  }

  post(path: string, payload?: object): Promise<LightMyRequestResponse> {
    return this.request({ method: 'POST', path, ...(payload && { payload }) })
  }

  /** Sends a form as a browser does. */
  submit(path: string, fields: Record<string, string>): Promise<LightMyRequestResponse> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return this.request({ method: 'POST', path, headers, payload: new URLSearchParams(fields).toString() })
  }

  delete(path: string): Promise<LightMyRequestResponse> {
    return this.request({ method: 'DELETE', path })
  }

  /** The id that the cookie carries, in front of its signature. */
  get sessionId(): string {
    if (this.cookie === undefined) throw new Error('this visitor has no session')
    return decodeURIComponent(this.cookie).split('.', 1)[0] as string
  }
}

/** The session cookie that an answer sets, or clears. */
export function setCookieOf(
  response: LightMyRequestResponse
): { name: string; value: string; gone: boolean; attributes: string } | undefined {
  const found = [response.headers['set-cookie'] ?? []].flat().flatMap((line) => {
    const [, name = '', value = '', attributes = ''] = /^((?:__Host-)?sid)=([^;]*)(.*)$/.exec(line) ?? []
    return name ? { name, value, attributes, gone: value === '' || /Expires=Thu, 01 Jan 1970/.test(attributes) } : []
  })
  if (found.length > 1) throw new Error(`the session cookie is set twice: ${JSON.stringify(found)}`)
  return found[0]
}

export const sessionKey = (id: string) => `muster:session:${id}`

/** Keys of sessions and their counters; not the records that lead visits in flight from an ended session to the next. */
export const sessionKeys = async (redis: Redis): Promise<string[]> =>
  (await redis.keys('*session:*')).filter((key) => !key.endsWith(':renewed'))

/** How often Redis ran each command during `work`, from any client and inside scripts. */
export async function commandsDuring(redis: Redis, work: () => Promise<unknown>): Promise<Record<string, number>> {
  await redis.config('RESETSTAT')
  await work()
  const stats = await redis.info('commandstats')
  const counts = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map((match) => [match[1]!, Number(match[2])])
  return Object.fromEntries(counts.filter(([name]) => name !== 'config|resetstat'))
}
