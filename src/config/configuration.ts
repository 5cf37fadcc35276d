import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { isSocketPath } from '../common/errors.ts'
import { isRangeText, parseRange, type WorkerRange } from '../common/worker-range.ts'
import { cacheDirOf } from './code-loading.ts'
import { usableCpus } from './cpu-quota.ts'
import { environmentSchema, isHidden, type Variables } from './environment-schema.ts'
import type { SystemdEnvironment } from './systemd-environment.ts'
import type { TlsFiles } from './tls-files.ts'
import { findLoader } from './typescript.ts'

interface Sources {
  variables: Variables
  environment: NodeJS.ProcessEnv
  systemd: SystemdEnvironment
  tls: TlsFiles | undefined
}

/** The configuration as the rest of the code uses it. Times are in ms, sizes in bytes; 0 turns a limit off. */
export type Config = ReturnType<typeof toConfig>

/** Groups variables by the part of the service that needs them, and converts units, lists and paths. */
export function toConfig({ variables, environment, systemd, tls }: Sources) {
  const runDir = resolve(variables.RUN_DIR)
  const app = variables.APP && locateModule(variables.APP)
  return {
    production: variables.NODE_ENV === 'production',
    port: variables.PORT,
    host: variables.HOST,
    /** Where metrics, docs and the admin plane are served instead of at `port`; undefined: there is no such port. */
    adminPort: adminPortOf(variables),
    /** The number at the start. */
    workers: workersOf(variables),
    autoscaling: {
      /** The load decides how many workers of this range there are; undefined: the number is fixed. */
      range: rangeOf(variables),
      scaleDownMs: variables.SCALE_DOWN_TIME
    },
    rebalances: variables.REBALANCE === 'on' && variables.SCHEDULING !== 'sticky' && !tls,
    scheduling: variables.SCHEDULING as 'rr' | 'shared' | 'reuseport' | 'sticky',
    reusePortLoss: variables.REUSEPORT_LOSS as 'refuse' | 'allow',
    /** The absolute path of the user's module, or the value as given when there is none. */
    app,
    /** How workers load `app`. */
    loader: findLoader(app ?? ''),
    runDir,
    adminSocket: join(runDir, 'admin.sock'),
    admin: {
      /** Any of them is valid; both lists undefined: there is no admin plane over HTTP. */
      controlTokens: listOf(variables.ADMIN_TOKEN),
      readTokens: listOf(variables.ADMIN_READ_TOKEN),
      /** How long a worker may take for what a command asks of it. */
      requestTimeoutMs: variables.ADMIN_TIMEOUT
    },
    maxWorkers: variables.MAX_WORKERS,
    /** Every variable of the schema as it is in force, for display: secrets are hidden, unset ones are null. */
    variables: shownVariables(variables),
    cacheDir: cacheDirOf(environment),
    searchPath: environment.PATH ?? '',
    nodeOptions: environment.NODE_OPTIONS ?? '',
    redis: {
      /** The service has no Redis: what needs one answers 501. */
      off: variables.REDIS === 'off',
      /** One of the forms that `parseRedisUrl` takes; undefined: the embedded Redis. */
      url: variables.REDIS_URL,
      timeoutMs: variables.REDIS_TIMEOUT,
      /** The beginning of every key and channel: services with different prefixes share a Redis and nothing else. */
      prefix: variables.REDIS_PREFIX,
      /** For the embedded Redis only. */
      fsync: variables.REDIS_FSYNC as 'everysec' | 'always',
      /** Number of replicas that must confirm a write before it is answered; 0: none. */
      replicas: Number(/^replicas:(\d+)$/.exec(variables.REDIS_DURABILITY)?.[1] ?? 0),
      /** Certificates to trust, in PEM; undefined: those that Node trusts. */
      ca: variables.REDIS_CA
    },
    session: {
      /** The first one signs, all verify; undefined: a secret is generated and shared. */
      secrets: listOf(variables.SESSION_SECRET),
      idleMs: variables.SESSION_IDLE,
      maxAgeMs: variables.SESSION_MAX_AGE,
      maxBytes: variables.SESSION_MAX_BYTES
    },
    /** The content of TLS_CERT and TLS_KEY, and the options of TLS; undefined: the port speaks plain HTTP. */
    tls: tls && {
      ...tls,
      minVersion: variables.TLS_MIN_VERSION as 'TLSv1.2' | 'TLSv1.3',
      ciphers: variables.TLS_CIPHERS,
      ticketKeyMs: variables.TLS_TICKET_KEY_AGE
    },
    http: httpOf(variables),
    /** Any of them is valid for /metrics; undefined: it needs none. */
    metricsTokens: listOf(variables.METRICS_TOKEN),
    ...systemd,
    hosts: {
      /** Time between two announcements of this host, in ms; 0: none. */
      heartbeatMs: variables.HOST_HEARTBEAT,
      takesTurns: variables.ROLLOUT_LEASE === 1
    },
    drainMs: variables.DRAIN_TIMEOUT,
    lameDuckMs: variables.LAME_DUCK,
    limits: {
      bootMs: variables.BOOT_TIMEOUT,
      canaryMs: Math.min(variables.CANARY_TIME, MAX_CANARY_MS),
      surge: surgeOf(variables),
      surgeBytes: usableMemory() * 0.75,
      heartbeatMs: variables.HEARTBEAT_TIMEOUT,
      lingerMs: variables.LINGER_TIMEOUT,
      maxLingering: variables.LINGER_MAX_WORKERS,
      maxLingeringBytes:
        variables.LINGER_MAX_MEMORY === undefined ? usableMemory() / 4 : variables.LINGER_MAX_MEMORY * 2 ** 20,
      maxPauseMs: variables.RESTART_BACKOFF,
      maxMemoryBytes: variables.MAX_MEMORY * 2 ** 20,
      maxRequests: variables.MAX_REQUESTS,
      maxAgeMs: variables.MAX_AGE
    },
    /** How the first worker of a new release is judged. */
    canary: {
      /** The share of new connections that it receives. */
      share: variables.CANARY_SHARE / 100,
      maxMs: variables.CANARY_TIME,
      undecided: variables.CANARY_UNDECIDED as 'continue' | 'hold' | 'rollback',
      /** The probability of a false alarm. */
      alpha: Number(variables.CANARY_ALPHA),
      tolerance: variables.CANARY_TOLERANCE / 100
    },
    quarantine: {
      /** Deaths of workers; 0 is off. */
      deaths: variables.QUARANTINE_DEATHS,
      windowMs: variables.QUARANTINE_WINDOW,
      timeMs: variables.QUARANTINE_TIME
    },
    telemetry: telemetryOf(variables, environment),
    /** Visitors may kill workers and start reloads. */
    demo: variables.DEMO === 1,
    logLevel: variables.LOG_LEVEL as string,
    logFormat: variables.LOG_FORMAT as 'auto' | 'json' | 'pretty'
  }
}

/** @returns how workers send spans; undefined: they have none */
function telemetryOf({ TELEMETRY }: Variables, environment: NodeJS.ProcessEnv) {
  if (TELEMETRY === 'off') return undefined
  const { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: ofTraces, OTEL_EXPORTER_OTLP_PROTOCOL: ofAll } = environment
  return { protocol: ofTraces || ofAll || 'http/protobuf' }
}

function workersOf(variables: Variables): number {
  const { WORKERS, MAX_WORKERS } = variables
  if (WORKERS === 'auto') return Math.min(usableCpus(), MAX_WORKERS)
  return isRangeText(WORKERS) ? (rangeOf(variables)?.min ?? 1) : Number(WORKERS)
}

/** With two at a time, a worker boots while another one drains, which takes no CPU time. */
function surgeOf({ RELOAD_SURGE }: Variables): number {
  return RELOAD_SURGE === 'auto' ? Math.max(2, Math.floor(usableCpus() / 2)) : Number(RELOAD_SURGE)
}

/** @returns undefined also for a range that is not valid, which the checks report */
function rangeOf({ WORKERS, MAX_WORKERS }: Variables): WorkerRange | undefined {
  const range = isRangeText(WORKERS) ? parseRange(WORKERS, Math.min(usableCpus(), MAX_WORKERS)) : undefined
  return typeof range === 'object' ? range : undefined
}

/** Without traffic to judge it by, the first worker of a new release serves this long before the reload continues, in ms. */
const MAX_CANARY_MS = 1000

/** The memory of the machine, or less when this process's cgroup has a limit. In bytes. */
export const usableMemory = () => Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)

function httpOf(variables: Variables) {
  return {
    trustProxy: listOf(variables.TRUST_PROXY),
    proxyHeaders: variables.PROXY_HEADERS as 'x-forwarded' | 'forwarded',
    forwardedHost: variables.FORWARDED_HOST as 'ignore' | 'trust',
    /** Connections to PORT from these addresses must begin with a PROXY header. */
    proxyProtocol: listOf(variables.PROXY_PROTOCOL),
    keepAliveMs: variables.KEEP_ALIVE_TIMEOUT,
    headersMs: variables.HEADERS_TIMEOUT,
    requestMs: variables.REQUEST_TIMEOUT,
    sendMs: variables.SEND_TIMEOUT,
    /** In bytes per second. */
    sendRate: variables.SEND_MIN_RATE,
    headerBytes: variables.HEADER_LIMIT * 1024,
    bodyBytes: variables.BODY_LIMIT * 1024,
    maxConnections: variables.MAX_CONNECTIONS,
    maxConnectionsPerClient: variables.MAX_CONNECTIONS_PER_CLIENT,
    maxRequests: variables.MAX_REQUESTS_PER_CONNECTION,
    maxLoopDelayMs: variables.MAX_LOOP_DELAY,
    rate: {
      windowMs: variables.RATE_WINDOW,
      limit: variables.RATE_LIMIT,
      signInLimit: variables.SIGN_IN_LIMIT,
      exempt: listOf(variables.RATE_EXEMPT) ?? []
    }
  }
}

function adminPortOf({ ADMIN_PORT, ADMIN_HOST, HOST }: Variables): { port: number; host: string } | undefined {
  if (ADMIN_PORT === undefined) return undefined
  return { port: ADMIN_PORT, host: ADMIN_HOST ?? (isSocketPath(HOST) ? '127.0.0.1' : HOST) }
}

function shownVariables(variables: Variables): Record<string, unknown> {
  const names = Object.keys(environmentSchema.properties) as (keyof Variables)[]
  const shown = (name: keyof Variables) => {
    const value = variables[name] ?? null
    return isHidden(name) && value !== null ? '(set)' : value
  }
  return Object.fromEntries(names.map((name) => [name, shown(name)]))
}

/** Splits a list at commas and white space. */
const listOf = (value: string | undefined) => value?.split(/[,\s]+/).filter(Boolean)

/** Finds the module that APP names: a path from the working directory, or an installed package. */
function locateModule(app: string): string {
  const path = resolve(app)
  if (existsSync(path)) return path
  try {
    return createRequire(join(process.cwd(), 'noop.js')).resolve(app)
  } catch {
    return path
  }
}
