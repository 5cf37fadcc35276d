import { oneOf, type Static } from '../common/json-schema.ts'
import { LOG_LEVELS } from '../common/log-levels.ts'
import { REDIS_URL_FORMS } from './redis-url.ts'
import { integer, kib, ms, optional, orOff, string } from './variable-schemas.ts'

/** Cipher suites of TLS 1.2 with forward secrecy and authenticated encryption. */
const DEFAULT_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

/**
 * The schema of the environment: the name of each variable, its possible values, its default, and its description. Adding a
 * variable means adding it here and in `.env.example`; nothing else reads the environment.
 */
export const environmentSchema = {
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
      pattern: '^(auto|[1-9][0-9]{0,2}|[^.]*\\.\\..*)$',
      description:
        'a number of worker processes from 1 to 999, auto for one per available core, or a range such as 2..8 or 2..auto, in which the load decides'
    }),
    SCALE_DOWN_TIME: ms(
      60_000,
      1000,
      'with a range in WORKERS, a worker is given up when the load was low for this time'
    ),
    REBALANCE: {
      ...oneOf('on', 'off'),
      default: 'on',
      description:
        'on: connections of a worker that is much busier than others move to these between two requests; off: they stay. With sticky and with TLS they always stay'
    },
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
    APP: optional({ description: 'module of the app; the argument of `muster start`' }),
    REDIS: {
      ...oneOf('on', 'off'),
      default: 'on',
      description: 'off: the service runs without Redis; sessions, counters, locks and settings answer 501'
    },
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
    REDIS_DURABILITY: string({
      default: 'primary',
      pattern: '^(primary|replicas:[1-9][0-9]?)$',
      description:
        'primary: a write is answered when the primary Redis has it; replicas:N: when N replicas, 1 to 99, have confirmed it too'
    }),
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
      description:
        'comma-separated addresses or CIDR ranges without RATE_LIMIT and SIGN_IN_LIMIT; behind a proxy set TRUST_PROXY too'
    }),
    DRAIN_TIMEOUT: ms(
      20_000,
      1,
      'a stop cuts the remaining connections after this time, a reload cuts those on which no byte moved for this time'
    ),
    LINGER_TIMEOUT: ms(
      3_600_000,
      1,
      'a replaced worker with requests that make progress may stay beside its successor for this time, if it is longer than DRAIN_TIMEOUT'
    ),
    LINGER_MAX_WORKERS: {
      type: 'integer',
      minimum: 0,
      maximum: 10_000,
      description:
        'number of replaced workers that may stay for their requests, of more the oldest ones must end; 0 is off; unset: twice the number of workers'
    },
    LINGER_MAX_MEMORY: {
      type: 'integer',
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description:
        'resident memory of replaced workers that stay for their requests, in MiB together, with more the oldest ones must end; 0 is off; unset: a quarter of the memory'
    },
    RELOAD_SURGE: string({
      default: 'auto',
      pattern: '^(auto|[1-9][0-9]?)$',
      description:
        'a number of workers from 1 to 99 that a reload replaces at a time, once its first one has proved itself and while there is memory, or auto for half of the cores and at least 2'
    }),
    LAME_DUCK: ms(0, 0, 'time after SIGTERM in which connections are still accepted while /readyz is already 503'),
    BOOT_TIMEOUT: ms(20_000, 1, 'a worker must be ready within this time'),
    CANARY_TIME: ms(
      30_000,
      0,
      'longest time that the first worker of a new release is judged by its own traffic before the reload continues; without traffic it serves for 1 s; 0 is off'
    ),
    CANARY_SHARE: integer({
      default: 5,
      minimum: 1,
      maximum: 50,
      description:
        'share of new connections that the first worker of a new release receives while it is judged, in percent'
    }),
    CANARY_UNDECIDED: {
      ...oneOf('continue', 'hold', 'rollback'),
      default: 'continue',
      description:
        'what a reload does when its first worker has shown neither that it is worse nor that it is not; hold: waits for muster promote or muster rollback'
    },
    CANARY_ALPHA: string({
      default: '0.001',
      pattern: '^0[.]0{0,8}[1-9][0-9]{0,8}$',
      description: 'probability that a release that is as good as the one before is rolled back, such as 0.001'
    }),
    CANARY_TOLERANCE: integer({
      default: 10,
      minimum: 0,
      maximum: 1000,
      description: 'a difference between two releases up to this never counts, in percent'
    }),
    HOST_HEARTBEAT: orOff(
      2000,
      'this host announces itself to the other hosts in the Redis of REDIS_URL whenever this time, in ms, has passed'
    ),
    ROLLOUT_LEASE: integer({
      default: 0,
      minimum: 0,
      maximum: 1,
      description:
        '1: the reloads of all hosts that share the Redis of REDIS_URL take turns, and stop after the first failed one; 0 is off'
    }),
    HEARTBEAT_TIMEOUT: orOff(
      10_000,
      'a ready worker that is silent for this time, in ms, is examined, and replaced if it hangs'
    ),
    RESTART_BACKOFF: ms(30_000, 1, 'longest pause before a slot that keeps failing is tried again'),
    MAX_MEMORY: orOff(0, 'a worker with more resident memory, in MiB, is replaced'),
    MAX_REQUESTS: orOff(0, 'a worker is replaced after this number of requests, and up to a tenth more'),
    MAX_AGE: orOff(0, 'a worker is replaced after this time, in ms, and up to a tenth more'),
    QUARANTINE_DEATHS: integer({
      default: 3,
      minimum: 0,
      maximum: 50,
      description:
        'a route is quarantined when it was in flight at so many deaths of workers and explains them; 0 is off'
    }),
    QUARANTINE_WINDOW: ms(600_000, 1000, 'time in which deaths of workers count together for QUARANTINE_DEATHS'),
    QUARANTINE_TIME: ms(30_000, 100, 'time for which a route is quarantined first; each further time is twice as long'),
    LOG_LEVEL: {
      ...oneOf(...LOG_LEVELS),
      default: 'info',
      description: 'lowest level that is logged: trace, debug, info, warn, error, fatal or silent'
    },
    LOG_FORMAT: {
      ...oneOf('auto', 'json', 'pretty'),
      default: 'auto',
      description: 'pretty: one readable line per event; json: JSON; auto: pretty on a terminal, json elsewhere'
    },
    TELEMETRY: {
      ...oneOf('off', 'otlp'),
      default: 'off',
      description:
        'otlp: workers send spans by the OpenTelemetry packages of the app, which the OTEL_* variables configure; off: nothing of them is loaded'
    },
    DEMO: integer({
      default: 0,
      minimum: 0,
      maximum: 1,
      description:
        '1: everyone who reaches the service may kill workers and start reloads, a few times a minute; never in production; 0 is off'
    }),
    NODE_ENV: optional({ description: 'production warns about settings that are fine only for a trial' })
  }
} as const

/** The variables by name, after defaults. Variables without a default may be undefined. */
export type Variables = Static<typeof environmentSchema>

export const SECRETS = ['SESSION_SECRET', 'ADMIN_TOKEN', 'ADMIN_READ_TOKEN', 'METRICS_TOKEN'] as const
/** Variables that may be in a file instead, which the variable `<NAME>_FILE` names. */
export const FROM_FILES = [...SECRETS, 'REDIS_URL'] as const
const HIDDEN = new Set<string>([...SECRETS, 'REDIS_URL', 'REDIS_CA'])

/** True for variables whose values are never shown: secrets, URLs that may contain a password, and contents of files. */
export const isHidden = (name: string): boolean => HIDDEN.has(name)
