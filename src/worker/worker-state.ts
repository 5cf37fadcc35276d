import { isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import type { loadIdentity } from '../config/worker-environment.ts'
import { type AppDeps, buildApp } from '../http/build-app.ts'
import type { ListenAddress } from '../node-internals/pretended-listening.ts'
import { warnOfEviction } from '../state/redis/eviction-warning.ts'
import { RedisConnection } from '../state/redis/redis-connection.ts'
import { SessionSecrets } from '../state/sessions/session-secrets.ts'
import type { Settings } from '../state/shared/settings.ts'
import { SharedState } from '../state/shared/shared-state.ts'
import { loadApp } from './app/load-app.ts'
import { warnOfSocketIo } from './app/socket-io-warning.ts'
import type { PrimaryChannel } from './primary-client.ts'

/** In place of REDIS_URL, with REDIS=off: nothing connects to it. */
const NOWHERE = 'redis://127.0.0.1'
/** The primary answers at the deadline of a broadcast; this margin only catches a dead primary. */
const BROADCAST_MARGIN_MS = 1000
/** After this time, a line of the log tells that the app is not loaded. */
const LONG_LOAD_MS = 5000
/** An app that tells no server to listen has this share of BOOT_TIMEOUT; the primary ends the worker when all of it is over. */
const BOOT_SHARE = 0.9

/** What workers share through Redis. Slot 0 alone warns about settings that concern the whole service. */
export interface WorkerState {
  worker: AppDeps['worker']
  redis: RedisConnection
  sessionSecrets: SessionSecrets
  shared: SharedState
  /** Where the service is reached, for the app. */
  address: ListenAddress
  /** Options of the config file, which {@link loadApp} checks. */
  service: unknown
}

/** Creates the state of a worker; it connects in {@link startApp}. */
export function createState(
  config: Config,
  identity: ReturnType<typeof loadIdentity>,
  channel: PrimaryChannel,
  draining: AbortSignal,
  log: Logger
): WorkerState {
  const { slot, generation, instance } = identity
  const worker = { slot, pid: process.pid, generation, host: hostname() }
  const redis = new RedisConnection(config.redis.url ?? NOWHERE, config.redis.timeoutMs, log, config.redis)
  redis.on('change', (up) => void channel.notify({ type: 'redis', up }))
  if (slot === 0) redis.once('change', () => void warnOfEviction(redis.client, log))
  const sessionSecrets = new SessionSecrets(redis, slot === 0 ? log : undefined, config.session.secrets)
  const shared = new SharedState({
    connection: redis,
    log,
    self: worker,
    instance,
    draining,
    relay: (message) => channel.request('broadcast', message, message.deadlineMs + BROADCAST_MARGIN_MS)
  })
  if (slot === 0 && config.tls && config.tls.expiresAt < Date.now()) {
    log.warn({ expired: new Date(config.tls.expiresAt) }, 'the certificate in TLS_CERT has expired')
  }
  const address = listenAddress(config, identity.port)
  return { worker, redis, sessionSecrets, shared, address, service: identity.serviceOptions }
}

export type StartAppDeps = Omit<AppDeps, 'config' | 'log' | 'served' | 'sessionSecrets'> &
  WorkerState & { disableHttp2: () => void }

/** Loads the app's module while Redis connects, then builds the app. */
export async function startApp(config: Config, log: Logger, deps: StartAppDeps): ReturnType<typeof buildApp> {
  const { redis, sessionSecrets, shared, address, service, worker, disableHttp2 } = deps
  const [served] = await Promise.all([
    reportWaiting(loadApp(config.app!, { address, listenMs: remainingBootMs(config), service }), config, log),
    redis.start(async () => {
      await sessionSecrets.check()
      await shared.settings.read()
    })
  ])
  if (served.needsHttp1) disableHttp2()
  followSettings(log, shared.settings, config.logLevel)
  const app = await buildApp({ ...deps, config, log, served, sessionSecrets: sessionSecrets.list })
  if (worker.slot === 0) {
    if (served.mounted)
      log.info({ kind: served.mounted, ...(config.tls && { http2: !served.needsHttp1 }) }, 'app mounted')
    warnOfSocketIo(config, log)
  }
  return app
}

/** Logs once when the app takes long to load: it may wait for something, or neither export an app nor listen. */
function reportWaiting<App>(loading: Promise<App>, { app }: Config, log: Logger): Promise<App> {
  const timer = setTimeout(() => log.warn({ app }, 'app not loaded yet'), LONG_LOAD_MS)
  return loading.finally(() => clearTimeout(timer))
}

function listenAddress({ host }: Config, port: number | undefined): ListenAddress {
  return port === undefined ? host : { address: host, port, family: isIPv6(host) ? 'IPv6' : 'IPv4' }
}

/** The rest of BOOT_TIMEOUT, which began before this process ran, with a margin for what follows the loading of the app. */
const remainingBootMs = ({ limits }: Config) => Math.max(0, limits.bootMs * BOOT_SHARE - performance.now())

/** Applies the setting `logLevel`, with LOG_LEVEL as its default, and logs every changed setting. */
function followSettings(log: Logger, settings: Settings, logLevel: string): void {
  const setLevel = () => {
    log.level = settings.get('logLevel') ?? logLevel
  }
  setLevel()
  settings.onChange('logLevel', setLevel)
  settings.onChange((setting) => log.info({ setting, version: settings.version }, 'a setting changed'))
}
