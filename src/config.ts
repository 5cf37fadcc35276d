import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import envSchema from 'env-schema'
import { cacheDirOf } from './compile-cache.ts'
import { schema, type Variables } from './config-schema.ts'
import { usableCpus } from './cpu-quota.ts'
import { StartupError } from './errors.ts'
import { parseRedisUrl } from './redis-url.ts'

/** What systemd says to the process it starts, and to no other: not settings, so not in the schema. */
const OF_SYSTEMD = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']
/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_LISTEN_FD = 3

/** How often a worker says how it is, in ms. */
export const BEAT_MS = 1000
const SECRETS = ['SESSION_SECRET', 'ADMIN_TOKEN', 'ADMIN_READ_TOKEN', 'METRICS_TOKEN'] as const
/** What may be in a file that NAME_FILE names. */
const FROM_FILES = [...SECRETS, 'REDIS_URL'] as const
/** Whoever has one may do much: none that can be guessed. In characters. */
const SHORTEST_SECRET = 32
/** Values that no message shows: a URL may have a password in it. */
const HIDDEN = new Set<string>([...SECRETS, 'REDIS_URL', 'REDIS_CA'])
/** The longest path a Unix socket can have: sun_path of 104 bytes on macOS, 108 on Linux, one for the end. */
const SOCKET_PATH_LIMIT = process.platform === 'linux' ? 107 : 103

export type Config = ReturnType<typeof group>

/**
 * Reads, coerces, cross-checks, groups and freezes. An empty variable counts as unset.
 * @throws StartupError that names every fault of the environment at once
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const faults: string[] = []
  const given: Record<string, unknown> = {}
  for (const name of Object.keys(schema.properties)) if (environment[name]) given[name] = environment[name]
  for (const name of FROM_FILES) readSecretFile(given, name, faults)
  readCertificates(given, faults)

  const config = group(coerce(given, faults), environment, readSystemd(environment, faults))
  crossCheck(config, faults)
  if (faults.length > 0) {
    throw new StartupError(`The environment is not right:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
  }
  return deepFreeze(config)
}

/** What is at fault is reported and takes its default, so that the rest can be checked all the same. */
function coerce(given: Record<string, unknown>, faults: string[]): Variables {
  try {
    return envSchema<Variables>({ schema: structuredClone(schema), data: { ...given }, env: false })
  } catch (error) {
    const found = describe(error, given)
    faults.push(...found.values())
    return coerce(Object.fromEntries(Object.entries(given).filter(([name]) => !found.has(name))), [])
  }
}

/** Freezes it and all that is in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}

/** Who a worker is, and which primary's: that one says it at the fork. */
export function loadIdentity(environment: NodeJS.ProcessEnv = process.env) {
  return {
    slot: Number(environment.MUSTER_SLOT),
    generation: Number(environment.MUSTER_GENERATION),
    instance: environment.MUSTER_INSTANCE ?? ''
  }
}

/** The variables that tell a forked worker who it is and what the primary has settled for all of them. */
export function workerEnvironment(worker: {
  slot: number
  generation: number
  app?: string | undefined
  /** No other primary's on any host. */
  instance: string
  redisUrl?: string | undefined
  sessionSecretFile?: string | undefined
}): Record<string, string> {
  return {
    MUSTER_SLOT: String(worker.slot),
    MUSTER_GENERATION: String(worker.generation),
    ...(worker.app && { APP: worker.app }),
    MUSTER_INSTANCE: worker.instance,
    // The primary has read the file.
    ...(worker.redisUrl && { REDIS_URL: worker.redisUrl, REDIS_URL_FILE: '' }),
    ...(worker.sessionSecretFile && { SESSION_SECRET_FILE: worker.sessionSecretFile })
  }
}

/** Takes what systemd says to this process out of the environment, which every child process gets a copy of. */
export function withholdFromChildren(environment: NodeJS.ProcessEnv = process.env): void {
  for (const name of OF_SYSTEMD) delete environment[name]
}

/**
 * What systemd says to the process that it starts: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). What a pid
 * says is meant for another process is left alone.
 */
function readSystemd(environment: NodeJS.ProcessEnv, faults: string[]) {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES } = environment
  const self = String(process.pid)
  const micros = WATCHDOG_USEC && (!WATCHDOG_PID || WATCHDOG_PID === self) ? WATCHDOG_USEC : undefined
  if (micros !== undefined && !/^[1-9]\d*$/.test(micros)) {
    faults.push(`WATCHDOG_USEC: must be a number of microseconds, not ${JSON.stringify(micros)}`)
  }
  const passed = (LISTEN_PID === self && LISTEN_FDS) || '0'
  if (passed !== '0' && passed !== '1') {
    faults.push(`LISTEN_FDS: muster takes one stream socket, not ${passed} (${LISTEN_FDNAMES || 'unnamed'})`)
  }
  return {
    /** A socket that listens already, in place of HOST and PORT. */
    listenFd: passed === '1' ? FIRST_LISTEN_FD : undefined,
    systemd: {
      /** Where it is told how the service is: a path, or "@" and an abstract name. */
      notifySocket: NOTIFY_SOCKET || undefined,
      /** It restarts a service that gives no sign of life for so long. */
      watchdogMs: micros === undefined ? undefined : Number(micros) / 1000
    }
  }
}

function group(variables: Variables, environment: NodeJS.ProcessEnv, systemd: ReturnType<typeof readSystemd>) {
  const runDir = resolve(variables.RUN_DIR)
  const list = (value: string | undefined) => value?.split(/[,\s]+/).filter(Boolean)
  return {
    production: variables.NODE_ENV === 'production',
    port: variables.PORT,
    host: variables.HOST,
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
      askMs: variables.ADMIN_TIMEOUT
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
    redis: {
      /** In one of the forms of {@link parseRedisUrl}. */
      url: variables.REDIS_URL,
      timeoutMs: variables.REDIS_TIMEOUT,
      /** Certificates to trust, in PEM; undefined: those that Node trusts. */
      ca: variables.REDIS_CA
    },
    session: {
      /** The first signs, all verify; undefined: one is made and shared. */
      secrets: list(variables.SESSION_SECRET),
      idleMs: variables.SESSION_IDLE,
      maxAgeMs: variables.SESSION_MAX_AGE
    },
    http: {
      trustProxy: list(variables.TRUST_PROXY),
      keepAliveMs: variables.KEEP_ALIVE_TIMEOUT,
      headersMs: variables.HEADERS_TIMEOUT,
      requestMs: variables.REQUEST_TIMEOUT,
      /** 0: a client may take as long as it likes. */
      sendMs: variables.SEND_TIMEOUT,
      headerBytes: variables.HEADER_LIMIT * 1024,
      bodyBytes: variables.BODY_LIMIT * 1024,
      /** 0 is no limit, here and in what follows. */
      maxConnections: variables.MAX_CONNECTIONS,
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

function crossCheck(config: Config, faults: string[]): void {
  if (config.scheduling === 'reuseport' && config.port === 0) {
    faults.push('PORT: 0 would be another port for each worker with SCHEDULING=reuseport: name one')
  }
  if (config.scheduling === 'reuseport' && config.listenFd !== undefined) {
    faults.push('SCHEDULING: reuseport cannot listen on a socket given from outside; rr, shared and sticky can')
  }
  checkRedis(config.redis, faults)
  if (config.app && !existsSync(config.app)) faults.push(`APP: there is no module "${config.app}"`)
  const secrets = {
    SESSION_SECRET: config.session.secrets,
    ADMIN_TOKEN: config.admin.controlTokens,
    ADMIN_READ_TOKEN: config.admin.readTokens,
    METRICS_TOKEN: config.metricsTokens
  }
  for (const [name, given] of Object.entries(secrets)) {
    if (given?.length === 0 || given?.some((secret) => secret.length < SHORTEST_SECRET)) {
      faults.push(`${name}: must have ${SHORTEST_SECRET} characters or more; \`openssl rand -hex 32\` makes one`)
    }
  }
  if (config.admin.controlTokens?.some((token) => config.admin.readTokens?.includes(token))) {
    faults.push('ADMIN_READ_TOKEN: must not be one of ADMIN_TOKEN')
  }
  if (config.workers > config.maxWorkers)
    faults.push(`WORKERS: must not exceed MAX_WORKERS, which is ${config.maxWorkers}`)
  if (config.session.idleMs > config.session.maxAgeMs) faults.push('SESSION_IDLE: must not exceed SESSION_MAX_AGE')
  if (config.http.headersMs > config.http.requestMs) faults.push('HEADERS_TIMEOUT: must not exceed REQUEST_TIMEOUT')
  const { heartbeatMs } = config.limits
  if (heartbeatMs > 0 && heartbeatMs < 2 * BEAT_MS) {
    faults.push(`HEARTBEAT_TIMEOUT: must be 0 or at least ${2 * BEAT_MS}: workers are heard every ${BEAT_MS} ms`)
  }
  for (const [name, ranges] of [
    ['TRUST_PROXY', config.http.trustProxy ?? []],
    ['RATE_EXEMPT', config.http.rate.exempt]
  ] as const) {
    for (const range of ranges) if (!isRange(range)) faults.push(`${name}: "${range}" is no address or CIDR range`)
  }
  const length = Buffer.byteLength(config.adminSocket)
  if (length > SOCKET_PATH_LIMIT) {
    faults.push(
      `RUN_DIR: too long for a Unix socket (${length} bytes, ${SOCKET_PATH_LIMIT} at most): ${config.adminSocket}`
    )
  }
}

function checkRedis({ url, ca }: Config['redis'], faults: string[]): void {
  try {
    const target = url && parseRedisUrl(url)
    if (ca && !(target && 'tls' in target && target.tls)) faults.push('REDIS_CA: REDIS_URL does not say rediss')
  } catch (error) {
    faults.push(`REDIS_URL: ${(error as Error).message}`)
  }
}

/** The variable holds a path; what it becomes is the content. */
function readCertificates(given: Record<string, unknown>, faults: string[]): void {
  const file = given.REDIS_CA
  if (typeof file !== 'string') return
  try {
    const pem = readFileSync(file, 'utf8')
    new X509Certificate(pem)
    given.REDIS_CA = pem
  } catch (error) {
    faults.push(`REDIS_CA: ${file} holds no certificate: ${(error as Error).message}`)
    delete given.REDIS_CA
  }
}

function readSecretFile(given: Record<string, unknown>, name: (typeof FROM_FILES)[number], faults: string[]): void {
  const file = given[`${name}_FILE`]
  if (typeof file !== 'string') return
  if (given[name]) {
    faults.push(`${name}: set once, here or as ${name}_FILE, not both`)
    return
  }
  try {
    const secret = readFileSync(file, 'utf8').trim()
    if (secret) given[name] = secret
    else faults.push(`${name}_FILE: ${file} is empty`)
  } catch (error) {
    faults.push(`${name}_FILE: cannot be read: ${(error as Error).message}`)
  }
}

interface SchemaFault {
  instancePath: string
  message?: string
  keyword: string
}

/** A fault for each variable that the schema refuses, by its name. */
function describe(error: unknown, given: Record<string, unknown>): Map<string, string> {
  const found = (error as { errors?: SchemaFault[] }).errors
  if (!found) throw error
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

/** An IP address, or a CIDR range of them. */
function isRange(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const right = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= bits)
  return isIP(address) !== 0 && more.length === 0 && right
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
