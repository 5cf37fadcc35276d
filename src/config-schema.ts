import { type Static, Type } from 'typebox'
import { REDIS_URL_FORMS } from './redis-url.ts'

/** Pino's, the one that says most first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const ms = (fallback: number, minimum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum: 2 ** 31 - 1, description: `${description}, in ms` })
const orOff = (fallback: number, description: string) =>
  Type.Integer({ default: fallback, minimum: 0, maximum: 2 ** 31 - 1, description: `${description}; 0 is off` })
const kib = (fallback: number, description: string) =>
  Type.Integer({ default: fallback, minimum: 1, maximum: 2 ** 20, description: `${description}, in KiB` })
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
  SCHEDULING: Type.Union(
    (['rr', 'shared', 'reuseport', 'sticky'] as const).map((mode) => Type.Literal(mode)),
    { default: 'rr', description: 'how connections come to workers: docs/scheduling.md' }
  ),
  REUSEPORT_LOSS: Type.Union([Type.Literal('refuse'), Type.Literal('allow')], {
    default: 'refuse',
    description: 'whether reuseport may lose connections, where the kernel does not move them'
  }),
  APP: optional({ description: 'module whose default export is a Fastify plugin, in place of src/routes/' }),
  REDIS_URL: optional({ description: `${REDIS_URL_FORMS}; unset: the embedded Redis` }),
  REDIS_URL_FILE: optional({ description: 'file that holds REDIS_URL' }),
  REDIS_CA: optional({ description: 'file of the certificates that sign that of Redis, where it is reached by TLS' }),
  REDIS_TIMEOUT: ms(1000, 10, 'how long a Redis command may take'),
  RUN_DIR: Type.String({
    default: '.run',
    description: 'folder of the pid file, the admin socket and the embedded Redis'
  }),
  SESSION_SECRET: optional({
    description: 'signs session cookies, 32 characters or more; several by commas: the first signs'
  }),
  SESSION_SECRET_FILE: optional({ description: 'file that holds SESSION_SECRET' }),
  METRICS_TOKEN: optional({ description: 'bearer token that /metrics asks for, as ADMIN_TOKEN; unset: none' }),
  METRICS_TOKEN_FILE: optional({ description: 'file that holds METRICS_TOKEN' }),
  SESSION_IDLE: ms(30 * 60_000, 1000, 'a session ends when unused for so long'),
  SESSION_MAX_AGE: ms(12 * 3_600_000, 1000, 'a session ends so long after it began, used or not'),
  ADMIN_TOKEN: optional({
    description: 'opens /admin/ over HTTP, 32 characters or more; several by commas are all valid; unset: no /admin/'
  }),
  ADMIN_TOKEN_FILE: optional({ description: 'file that holds ADMIN_TOKEN' }),
  ADMIN_READ_TOKEN: optional({ description: 'opens what only looks, as ADMIN_TOKEN' }),
  ADMIN_READ_TOKEN_FILE: optional({ description: 'file that holds ADMIN_READ_TOKEN' }),
  ADMIN_TIMEOUT: ms(10_000, 100, 'a worker gets so long for what a command asks of it'),
  MAX_WORKERS: Type.Integer({
    default: 128,
    minimum: 1,
    maximum: 999,
    description: 'more workers than this are refused'
  }),
  TRUST_PROXY: optional({ description: 'addresses or CIDR ranges of proxies whose X-Forwarded-* count, by commas' }),
  KEEP_ALIVE_TIMEOUT: ms(5000, 1, 'an idle connection is kept for so long'),
  HEADERS_TIMEOUT: ms(10_000, 1, 'the headers of a request must arrive within this'),
  REQUEST_TIMEOUT: ms(15_000, 1, 'a whole request must arrive within this'),
  SEND_TIMEOUT: orOff(30_000, 'a client that takes nothing of its answer for so long, in ms, is cut'),
  HEADER_LIMIT: kib(16, 'most that the head of a request may have'),
  BODY_LIMIT: kib(64, 'most that the body of a request may have'),
  MAX_CONNECTIONS: orOff(10_000, 'connections of one worker; further ones are refused with 503'),
  MAX_REQUESTS_PER_CONNECTION: orOff(0, 'a connection is closed, in order, after so many requests'),
  MAX_LOOP_DELAY: orOff(1000, 'a worker whose event loop is late by so much, in ms, refuses requests with 503'),
  RATE_WINDOW: ms(60_000, 100, 'what RATE_LIMIT and SIGN_IN_LIMIT are counted in'),
  RATE_LIMIT: orOff(60_000, 'requests of one address in a RATE_WINDOW, of all workers and hosts'),
  SIGN_IN_LIMIT: orOff(60, 'attempts of one address to sign in, in a RATE_WINDOW'),
  RATE_EXEMPT: Type.String({
    default: '127.0.0.0/8,::1',
    description: 'addresses or CIDR ranges that no rate limit holds for, by commas'
  }),
  DRAIN_TIMEOUT: ms(20_000, 1, 'a draining worker cuts what is left after this'),
  LAME_DUCK: ms(0, 0, 'after SIGTERM go on accepting for so long, while /readyz already says 503'),
  BOOT_TIMEOUT: ms(20_000, 1, 'a worker must be ready within this'),
  CANARY_TIME: ms(
    1000,
    0,
    'the first worker of a new release serves beside the old one for so long before that leaves'
  ),
  HEARTBEAT_TIMEOUT: orOff(
    10_000,
    'a ready worker that is silent for so long, in ms, is looked at, and replaced if it hangs'
  ),
  RESTART_BACKOFF: ms(30_000, 1, 'longest pause before a slot that fails again and again is tried again'),
  MAX_MEMORY: orOff(0, 'a worker that uses more resident memory is replaced, in MiB'),
  MAX_REQUESTS: orOff(0, 'a worker is replaced after so many requests, and up to a tenth more'),
  MAX_AGE: orOff(0, 'a worker is replaced after so long, and up to a tenth more, in ms'),
  LOG_LEVEL: Type.Union(
    LOG_LEVELS.map((level) => Type.Literal(level)),
    { default: 'info', description: 'lowest level that is logged' }
  ),
  NODE_ENV: optional({ description: 'production warns of settings that are fine only for a try' })
})

export type Variables = Static<typeof schema>
