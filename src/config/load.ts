import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { isSocketPath, StartupError } from '../common/errors.ts'
import { oneOf, type Static } from '../common/json-schema.ts'
import { coerceTo, type Issue } from '../common/json-schema-check.ts'
import { LOG_LEVELS } from '../common/log-levels.ts'
import type { CertificatePair } from '../ipc/messages.ts'
import { cacheDirOf } from './compile-cache.ts'
import { usableCpus } from './cpu-quota.ts'
import { REDIS_URL_FORMS } from './redis-url.ts'
import { crossCheck, DEFAULT_CIPHERS, readCertificates, readSecretFile, readSystemd, readTls } from './validate.ts'

const integer = (options: { default: number; minimum: number; maximum: number; description: string }) =>
  ({ type: 'integer', ...options }) as const
const string = (options: { default: string; pattern?: string; description: string }) =>
  ({ type: 'string', ...options }) as const
const optional = (options: { description: string }) => ({ type: 'string', ...options }) as const
const ms = (fallback: number, minimum: number, description: string) =>
  integer({ default: fallback, minimum, maximum: 2 ** 31 - 1, description: `${description}, in ms` })
const orOff = (fallback: number, description: string) =>
  integer({ default: fallback, minimum: 0, maximum: 2 ** 31 - 1, description: `${description}; 0 is off` })
const kib = (fallback: number, description: string) =>
  integer({ default: fallback, minimum: 1, maximum: 2 ** 20, description: `${description}, in KiB` })

/** The one schema: what a variable is called, what it may be, what it is when unset. Nothing else reads the environment. */
export const schema = {
  type: 'object',
  properties: {
    PORT: integer({ default: 8080, minimum: 0, maximum: 65535, description: 'TCP port; 0 takes a free one' }),
    HOST: string({
      default: '127.0.0.1',
      description:
        'address to listen on; 0.0.0.0 is every address; an absolute path listens on a Unix socket instead of PORT'
    }),
    ADMIN_PORT: {
      type: 'integer',
      minimum: 0,
      maximum: 65535,
      description:
        'TCP port of /metrics, /docs and /admin, which PORT then does not serve; probes are at both ports; unset: everything is at PORT'
    },
    ADMIN_HOST: optional({ description: 'address that ADMIN_PORT listens on; unset: HOST' }),
    WORKERS: string({
      default: 'auto',
      pattern: '^(auto|[1-9][0-9]{0,2})$',
      description: 'a number of worker processes from 1 to 999, or auto for one per available core'
    }),
    SCHEDULING: {
      ...oneOf('rr', 'shared', 'reuseport', 'sticky'),
      default: 'rr',
      description:
        'how connections reach workers; rr: the primary distributes them; sticky: a client keeps its worker; shared: workers accept from one socket; reuseport: each worker accepts from its own socket'
    },
    REUSEPORT_LOSS: {
      ...oneOf('refuse', 'allow'),
      default: 'refuse',
      description:
        'with reuseport on a kernel that does not move connections (net.ipv4.tcp_migrate_req): refuse to start, or allow the loss'
    },
    APP: optional({ description: 'module whose default export is a Fastify plugin; replaces src/routes/' }),
    REDIS_URL: optional({ description: `${REDIS_URL_FORMS}; unset: the embedded Redis` }),
    REDIS_URL_FILE: optional({ description: 'file that contains REDIS_URL' }),
    REDIS_CA: optional({
      description:
        'file with the certificates of the authority that signed the certificate of Redis, in PEM; unset: authorities that Node trusts'
    }),
    REDIS_PREFIX: string({
      default: 'muster:',
      pattern: '^[A-Za-z0-9._-][A-Za-z0-9._:-]{0,62}:$',
      description:
        'the text that every key and channel in Redis begins with: letters, digits, ".", "_", "-" and ":", 64 at most, the last one ":"'
    }),
    REDIS_FSYNC: {
      ...oneOf('everysec', 'always'),
      default: 'everysec',
      description:
        'when writes of the embedded Redis reach the disk; everysec: a power cut may lose the last 2 s; always: before they are answered, and hits are slower'
    },
    REDIS_TIMEOUT: ms(1000, 10, 'time limit of a Redis command'),
    RUN_DIR: string({
      default: '.run',
      description: 'folder of the pid file, the admin socket, the journal and the embedded Redis'
    }),
    SESSION_SECRET: optional({
      description:
        'signs session cookies; 32 characters or more; of a comma-separated list the first signs and all verify; unset: one is made and kept'
    }),
    SESSION_SECRET_FILE: optional({ description: 'file that contains SESSION_SECRET' }),
    METRICS_TOKEN: optional({
      description: 'bearer token of /metrics, in the format of ADMIN_TOKEN; unset: /metrics is open'
    }),
    METRICS_TOKEN_FILE: optional({ description: 'file that contains METRICS_TOKEN' }),
    SESSION_IDLE: ms(30 * 60_000, 1000, 'a session that is not used for this time ends'),
    SESSION_MAX_AGE: ms(12 * 3_600_000, 1000, 'a session ends this time after it began, used or not'),
    SESSION_MAX_BYTES: integer({
      default: 64 * 1024,
      minimum: 256,
      maximum: 2 ** 24,
      description: 'largest session, in bytes of JSON; a larger one is not stored, and its request gets 413'
    }),
    ADMIN_TOKEN: optional({
      description:
        'bearer token that opens everything below /admin/; 32 characters or more; of a comma-separated list all are valid; `openssl rand -hex 32` makes one; unset: there is no /admin/'
    }),
    ADMIN_TOKEN_FILE: optional({ description: 'file that contains ADMIN_TOKEN' }),
    ADMIN_READ_TOKEN: optional({
      description: 'bearer token that opens commands which only read, in the format of ADMIN_TOKEN'
    }),
    ADMIN_READ_TOKEN_FILE: optional({ description: 'file that contains ADMIN_READ_TOKEN' }),
    ADMIN_TIMEOUT: ms(10_000, 100, 'time limit of a worker for its part of a command'),
    MAX_WORKERS: integer({
      default: 128,
      minimum: 1,
      maximum: 999,
      description: 'largest number of workers; commands that ask for more are refused'
    }),
    TLS_CERT: optional({
      description:
        'file with the certificate of this service and then those that sign it, in PEM; PORT then speaks https'
    }),
    TLS_KEY: optional({ description: 'file with the private key of TLS_CERT, in PEM' }),
    TLS_MIN_VERSION: {
      ...oneOf('TLSv1.2', 'TLSv1.3'),
      default: 'TLSv1.2',
      description: 'lowest version of TLS that clients may use: TLSv1.2 or TLSv1.3'
    },
    TLS_TICKET_KEY_AGE: ms(
      3_600_000,
      1000,
      'the keys of TLS session tickets are replaced after this time and with each reload'
    ),
    TLS_CIPHERS: string({
      default: DEFAULT_CIPHERS,
      description: 'cipher suites of TLS 1.2, in the format of OpenSSL; those of TLS 1.3 are always on'
    }),
    TRUST_PROXY: optional({
      description:
        'comma-separated addresses or CIDR ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto count'
    }),
    PROXY_HEADERS: {
      ...oneOf('x-forwarded', 'forwarded'),
      default: 'x-forwarded',
      description:
        'headers that the proxies in TRUST_PROXY set; x-forwarded: X-Forwarded-*; forwarded: Forwarded of RFC 7239'
    },
    FORWARDED_HOST: {
      ...oneOf('ignore', 'trust'),
      default: 'ignore',
      description: 'trust: the host that the proxies in TRUST_PROXY name replaces Host; ignore: Host counts'
    },
    PROXY_PROTOCOL: optional({
      description:
        'comma-separated addresses or CIDR ranges of load balancers whose connections begin with a PROXY header, version 1 or 2'
    }),
    KEEP_ALIVE_TIMEOUT: ms(5000, 1, 'an idle connection is closed after this time'),
    HEADERS_TIMEOUT: ms(10_000, 1, 'the head of a request must arrive within this time'),
    REQUEST_TIMEOUT: ms(15_000, 1, 'a whole request must arrive within this time'),
    SEND_TIMEOUT: orOff(30_000, 'a client that reads nothing of its response for this time, in ms, is cut'),
    SEND_MIN_RATE: orOff(240, 'bytes a second that a client must read of its response, measured over SEND_TIMEOUT'),
    HEADER_LIMIT: kib(16, 'largest head of a request'),
    BODY_LIMIT: kib(64, 'largest body of a request'),
    MAX_CONNECTIONS: orOff(10_000, 'connections of one worker; further ones get 503'),
    MAX_CONNECTIONS_PER_CLIENT: orOff(
      0,
      'connections of one address at one worker, except addresses in TRUST_PROXY; further ones get 429'
    ),
    MAX_REQUESTS_PER_CONNECTION: orOff(0, 'a connection is closed in order after this number of requests'),
    MAX_LOOP_DELAY: orOff(1000, 'a worker whose event loop is late by this time, in ms, answers 503, except to probes'),
    RATE_WINDOW: ms(60_000, 100, 'window of RATE_LIMIT and SIGN_IN_LIMIT'),
    RATE_LIMIT: orOff(60_000, 'requests of one address per RATE_WINDOW, over all workers and hosts'),
    SIGN_IN_LIMIT: orOff(60, 'sign-in attempts of one address per RATE_WINDOW'),
    RATE_EXEMPT: string({
      default: '127.0.0.0/8,::1',
      description: 'comma-separated addresses or CIDR ranges without rate limits; behind a proxy set TRUST_PROXY too'
    }),
    DRAIN_TIMEOUT: ms(20_000, 1, 'a draining worker cuts the remaining connections after this time'),
    LAME_DUCK: ms(0, 0, 'time after SIGTERM in which connections are still accepted while /readyz is already 503'),
    BOOT_TIMEOUT: ms(20_000, 1, 'a worker must be ready within this time'),
    CANARY_TIME: ms(
      1000,
      0,
      'time that the first worker of a new release serves beside the old one before the reload continues'
    ),
    HEARTBEAT_TIMEOUT: orOff(
      10_000,
      'a ready worker that is silent for this time, in ms, is examined, and replaced if it hangs'
    ),
    RESTART_BACKOFF: ms(30_000, 1, 'longest pause before a slot that keeps failing is tried again'),
    MAX_MEMORY: orOff(0, 'a worker with more resident memory, in MiB, is replaced'),
    MAX_REQUESTS: orOff(0, 'a worker is replaced after this number of requests, and up to a tenth more'),
    MAX_AGE: orOff(0, 'a worker is replaced after this time, in ms, and up to a tenth more'),
    LOG_LEVEL: {
      ...oneOf(...LOG_LEVELS),
      default: 'info',
      description: 'lowest level that is logged: trace, debug, info, warn, error, fatal or silent'
    },
    NODE_ENV: optional({ description: 'production warns about settings that are fine only for a trial' })
  }
} as const

type Variables = Static<typeof schema>
type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

const SECRETS = ['SESSION_SECRET', 'ADMIN_TOKEN', 'ADMIN_READ_TOKEN', 'METRICS_TOKEN'] as const
/** What may be in a file that NAME_FILE names. */
const FROM_FILES = [...SECRETS, 'REDIS_URL'] as const
/** Values that no message shows: a URL may have a password in it. */
const HIDDEN = new Set<string>([...SECRETS, 'REDIS_URL', 'REDIS_CA'])

export type Config = ReturnType<typeof group>

/**
 * Reads, coerces, cross-checks, groups and freezes. An empty variable counts as unset.
 * @param pair served by TLS in place of what TLS_CERT and TLS_KEY hold
 * @throws StartupError that names every fault of the environment at once
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env, pair?: CertificatePair): Config {
  const faults: string[] = []
  const given: Record<string, unknown> = {}
  for (const name of Object.keys(schema.properties)) if (environment[name]) given[name] = environment[name]
  for (const name of FROM_FILES) readSecretFile(given, name, faults)
  readCertificates(given, faults)
  const tls = readTls(given, faults, pair)

  const config = group(coerce(given, faults), environment, readSystemd(environment, faults), tls)
  crossCheck(config, faults)
  if (faults.length > 0) {
    throw new StartupError(`The environment is not right:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
  }
  return deepFreeze(config)
}

/** What is at fault is reported and takes its default, so that the rest can be checked all the same. */
function coerce(given: Record<string, unknown>, faults: string[]): Variables {
  const variables = { ...given }
  const found = describe(coerceTo(schema.properties, variables), given)
  if (found.size === 0) return variables as Variables
  faults.push(...found.values())
  return coerce(Object.fromEntries(Object.entries(given).filter(([name]) => !found.has(name))), [])
}

/** Freezes it and all that is in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}

function group(
  variables: Variables,
  environment: NodeJS.ProcessEnv,
  systemd: ReturnType<typeof readSystemd>,
  tls: ReturnType<typeof readTls>
) {
  const runDir = resolve(variables.RUN_DIR)
  const list = (value: string | undefined) => value?.split(/[,\s]+/).filter(Boolean)
  return {
    production: variables.NODE_ENV === 'production',
    port: variables.PORT,
    host: variables.HOST,
    /** Where metrics, docs and admin are found instead of at `port`; undefined: there is no such port. */
    adminPort:
      variables.ADMIN_PORT === undefined
        ? undefined
        : {
            port: variables.ADMIN_PORT,
            host: variables.ADMIN_HOST ?? (isSocketPath(variables.HOST) ? '127.0.0.1' : variables.HOST)
          },
    workers: variables.WORKERS === 'auto' ? Math.min(usableCpus(), variables.MAX_WORKERS) : Number(variables.WORKERS),
    scheduling: variables.SCHEDULING as 'rr' | 'shared' | 'reuseport' | 'sticky',
    reusePortLoss: variables.REUSEPORT_LOSS as 'refuse' | 'allow',
    /** Absolute path of the user's module, or its name as given when it is not there. */
    app: variables.APP && locate(variables.APP),
    runDir,
    adminSocket: join(runDir, 'admin.sock'),
    admin: {
      /** Any of them opens it; both undefined: there is no admin plane over HTTP. */
      controlTokens: list(variables.ADMIN_TOKEN),
      readTokens: list(variables.ADMIN_READ_TOKEN),
      /** How long a worker may take for what a command asks of it. */
      requestTimeoutMs: variables.ADMIN_TIMEOUT
    },
    maxWorkers: variables.MAX_WORKERS,
    /** Every variable of the schema as it is in force, to be shown. */
    variables: Object.fromEntries(
      Object.keys(schema.properties).map((name) => {
        const value = variables[name as keyof Variables]
        return [name, HIDDEN.has(name) && value !== undefined ? '(set)' : (value ?? null)]
      })
    ),
    cacheDir: cacheDirOf(environment),
    searchPath: environment.PATH ?? '',
    nodeOptions: environment.NODE_OPTIONS ?? '',
    redis: {
      /** In one of the forms of {@link parseRedisUrl}. */
      url: variables.REDIS_URL,
      timeoutMs: variables.REDIS_TIMEOUT,
      /** Of every key and channel: services with different ones share a Redis and nothing else. */
      prefix: variables.REDIS_PREFIX,
      /** Of the embedded Redis. */
      fsync: variables.REDIS_FSYNC as 'everysec' | 'always',
      /** Certificates to trust, in PEM; undefined: those that Node trusts. */
      ca: variables.REDIS_CA
    },
    session: {
      /** The first signs, all verify; undefined: one is made and shared. */
      secrets: list(variables.SESSION_SECRET),
      idleMs: variables.SESSION_IDLE,
      maxAgeMs: variables.SESSION_MAX_AGE,
      maxBytes: variables.SESSION_MAX_BYTES
    },
    /** What TLS_CERT and TLS_KEY hold, and how TLS is spoken; undefined: the port speaks plain http. */
    tls: tls && {
      ...tls,
      minVersion: variables.TLS_MIN_VERSION as TlsVersion,
      ciphers: variables.TLS_CIPHERS,
      ticketKeyMs: variables.TLS_TICKET_KEY_AGE
    },
    http: {
      trustProxy: list(variables.TRUST_PROXY),
      proxyHeaders: variables.PROXY_HEADERS as 'x-forwarded' | 'forwarded',
      forwardedHost: variables.FORWARDED_HOST as 'ignore' | 'trust',
      /** Whose connections to PORT must begin with a header of the PROXY protocol. */
      proxyProtocol: list(variables.PROXY_PROTOCOL),
      keepAliveMs: variables.KEEP_ALIVE_TIMEOUT,
      headersMs: variables.HEADERS_TIMEOUT,
      requestMs: variables.REQUEST_TIMEOUT,
      /** 0: a client may take as long as it likes. */
      sendMs: variables.SEND_TIMEOUT,
      sendRate: variables.SEND_MIN_RATE,
      headerBytes: variables.HEADER_LIMIT * 1024,
      bodyBytes: variables.BODY_LIMIT * 1024,
      /** 0 is no limit, here and in what follows. */
      maxConnections: variables.MAX_CONNECTIONS,
      maxConnectionsPerClient: variables.MAX_CONNECTIONS_PER_CLIENT,
      maxRequests: variables.MAX_REQUESTS_PER_CONNECTION,
      maxLoopDelayMs: variables.MAX_LOOP_DELAY,
      rate: {
        windowMs: variables.RATE_WINDOW,
        limit: variables.RATE_LIMIT,
        signInLimit: variables.SIGN_IN_LIMIT,
        exempt: list(variables.RATE_EXEMPT) ?? []
      }
    },
    /** What /metrics asks for; undefined: nothing. */
    /** Any of them opens /metrics; undefined: it is open. */
    metricsTokens: list(variables.METRICS_TOKEN),
    ...systemd,
    drainMs: variables.DRAIN_TIMEOUT,
    lameDuckMs: variables.LAME_DUCK,
    limits: {
      bootMs: variables.BOOT_TIMEOUT,
      canaryMs: variables.CANARY_TIME,
      heartbeatMs: variables.HEARTBEAT_TIMEOUT,
      maxPauseMs: variables.RESTART_BACKOFF,
      maxMemoryBytes: variables.MAX_MEMORY * 2 ** 20,
      maxRequests: variables.MAX_REQUESTS,
      maxAgeMs: variables.MAX_AGE
    },
    logLevel: variables.LOG_LEVEL as string
  }
}

/** A fault for each variable that the schema refuses, by its name. */
function describe(found: readonly Issue[], given: Record<string, unknown>): Map<string, string> {
  const described = new Map<string, string>()
  for (const { instancePath } of found) {
    const name = instancePath.slice(1)
    const faults = found.filter((fault) => fault.instancePath === instancePath)
    const rule = schema.properties[name as keyof typeof schema.properties] as {
      anyOf?: { const: string }[]
      description?: string
    }
    const what = rule.anyOf
      ? `must be one of ${rule.anyOf.map((one) => one.const).join(', ')}`
      : faults[0]?.keyword === 'pattern'
        ? `must be ${rule.description}`
        : faults.map((fault) => fault.message).join(' and ')
    described.set(name, `${name}: ${what}${HIDDEN.has(name) ? '' : `, not ${JSON.stringify(given[name])}`}`)
  }
  return described
}

/** A path is taken from the working directory; what is not there may be the name of a package. */
function locate(app: string): string {
  const path = resolve(app)
  if (existsSync(path)) return path
  try {
    return createRequire(join(process.cwd(), 'noop.js')).resolve(app)
  } catch {
    return path
  }
}
