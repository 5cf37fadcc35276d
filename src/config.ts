import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { availableParallelism, homedir } from 'node:os'
import { join, resolve } from 'node:path'
import envSchema from 'env-schema'
import { type Static, Type } from 'typebox'
import { StartupError } from './errors.ts'

const ms = (fallback: number, minimum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum: 2 ** 31 - 1, description: `${description}, in ms` })
const optional = (options: { pattern?: string; description: string }) => Type.Optional(Type.String(options))

/** The one schema: what a variable is called, what it may be, what it is when unset. Nothing else reads the environment. */
export const schema = Type.Object({
  PORT: Type.Integer({ default: 8080, minimum: 0, maximum: 65535, description: 'TCP port; 0 takes a free one' }),
  HOST: Type.String({ default: '127.0.0.1', description: 'address to listen on' }),
  WORKERS: Type.String({
    default: 'auto',
    pattern: '^(auto|[1-9][0-9]{0,2})$',
    description: 'a number of worker processes from 1 to 999, or auto for one per available core'
  }),
  SCHEDULING: Type.Union([Type.Literal('rr'), Type.Literal('shared')], {
    default: 'rr',
    description: 'who accepts connections: the primary, dealing them out (rr), or all workers on one socket (shared)'
  }),
  APP: optional({ description: 'module whose default export is a Fastify plugin, in place of src/routes/' }),
  REDIS_URL: optional({
    pattern: '^(rediss?://.+|unix:///.+)$',
    description: 'redis://, rediss:// or unix:///path; unset: the embedded Redis'
  }),
  REDIS_TIMEOUT: ms(1000, 10, 'how long a Redis command may take'),
  RUN_DIR: Type.String({
    default: '.run',
    description: 'folder of the pid file, the admin socket and the embedded Redis'
  }),
  SESSION_SECRET: optional({
    description: 'signs session cookies, 32 characters or more; several by commas: the first signs'
  }),
  SESSION_SECRET_FILE: optional({ description: 'file that holds SESSION_SECRET' }),
  SESSION_IDLE: ms(30 * 60_000, 1000, 'a session ends when unused for so long'),
  SESSION_MAX_AGE: ms(12 * 3_600_000, 1000, 'a session ends so long after it began, used or not'),
  TRUST_PROXY: optional({ description: 'addresses or CIDR ranges of proxies whose X-Forwarded-* count, by commas' }),
  KEEP_ALIVE_TIMEOUT: ms(5000, 1, 'an idle connection is kept for so long'),
  HEADERS_TIMEOUT: ms(10_000, 1, 'the headers of a request must arrive within this'),
  REQUEST_TIMEOUT: ms(15_000, 1, 'a whole request must arrive within this'),
  DRAIN_TIMEOUT: ms(20_000, 1, 'a draining worker cuts what is left after this'),
  LAME_DUCK: ms(0, 0, 'after SIGTERM go on accepting for so long, while /readyz already says 503'),
  BOOT_TIMEOUT: ms(20_000, 1, 'a worker must be ready within this'),
  LOG_LEVEL: Type.Union(
    (['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const).map((level) => Type.Literal(level)),
    { default: 'info', description: 'lowest level that is logged' }
  ),
  NODE_ENV: optional({ description: 'production warns of settings that are fine only for a try' })
})
type Variables = Static<typeof schema>

const SECRETS = ['SESSION_SECRET'] as const
/** Values that no message shows: a URL may have a password in it. */
const HIDDEN = new Set<string>([...SECRETS, 'REDIS_URL'])
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
  for (const name of SECRETS) readSecretFile(given, name, faults)

  const config = group(coerce(given, faults), environment)
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

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}

/** Who a worker is: the primary says it at the fork. */
export function loadIdentity(environment: NodeJS.ProcessEnv = process.env): { slot: number; generation: number } {
  return { slot: Number(environment.MUSTER_SLOT), generation: Number(environment.MUSTER_GENERATION) }
}

/** The variables that tell a forked worker who it is and what the primary has settled for all of them. */
export function workerEnvironment(worker: {
  slot: number
  generation: number
  redisUrl?: string | undefined
  sessionSecretFile?: string | undefined
}): Record<string, string> {
  return {
    MUSTER_SLOT: String(worker.slot),
    MUSTER_GENERATION: String(worker.generation),
    ...(worker.redisUrl && { REDIS_URL: worker.redisUrl }),
    ...(worker.sessionSecretFile && { SESSION_SECRET_FILE: worker.sessionSecretFile })
  }
}

function group(variables: Variables, environment: NodeJS.ProcessEnv) {
  const runDir = resolve(variables.RUN_DIR)
  const list = (value: string | undefined) => value?.split(/[,\s]+/).filter(Boolean)
  return {
    production: variables.NODE_ENV === 'production',
    port: variables.PORT,
    host: variables.HOST,
    workers: variables.WORKERS === 'auto' ? availableParallelism() : Number(variables.WORKERS),
    scheduling: variables.SCHEDULING as 'rr' | 'shared',
    /** Absolute path of the user's module, or its name as given when it is not there. */
    app: variables.APP && locate(variables.APP),
    runDir,
    adminSocket: join(runDir, 'admin.sock'),
    cacheDir: join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster'),
    searchPath: environment.PATH ?? '',
    redis: { url: variables.REDIS_URL, timeoutMs: variables.REDIS_TIMEOUT },
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
      requestMs: variables.REQUEST_TIMEOUT
    },
    drainMs: variables.DRAIN_TIMEOUT,
    lameDuckMs: variables.LAME_DUCK,
    bootMs: variables.BOOT_TIMEOUT,
    logLevel: variables.LOG_LEVEL as string
  }
}

function crossCheck(config: Config, faults: string[]): void {
  if (config.app && !existsSync(config.app)) faults.push(`APP: there is no module "${config.app}"`)
  if (config.session.secrets?.length === 0 || config.session.secrets?.some((secret) => secret.length < 32)) {
    faults.push('SESSION_SECRET: must have 32 characters or more; `openssl rand -hex 32` makes one')
  }
  if (config.session.idleMs > config.session.maxAgeMs) faults.push('SESSION_IDLE: must not exceed SESSION_MAX_AGE')
  if (config.http.headersMs > config.http.requestMs) faults.push('HEADERS_TIMEOUT: must not exceed REQUEST_TIMEOUT')
  for (const range of config.http.trustProxy ?? []) {
    if (!isRange(range)) faults.push(`TRUST_PROXY: "${range}" is no address or CIDR range`)
  }
  const length = Buffer.byteLength(config.adminSocket)
  if (length > SOCKET_PATH_LIMIT) {
    faults.push(
      `RUN_DIR: too long for a Unix socket (${length} bytes, ${SOCKET_PATH_LIMIT} at most): ${config.adminSocket}`
    )
  }
}

function readSecretFile(given: Record<string, unknown>, name: (typeof SECRETS)[number], faults: string[]): void {
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
