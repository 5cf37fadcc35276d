import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { isSocketPath } from '../common/errors.ts'
import { type CertificatePair, HEARTBEAT_MS } from '../ipc/messages.ts'
import type { Config } from './load.ts'
import { parseRedisUrl } from './redis-url.ts'

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_LISTEN_FD = 3
/** Whoever has one may do much: none that can be guessed. In characters. */
const SHORTEST_SECRET = 32
/** The longest path a Unix socket can have: sun_path of 104 bytes on macOS, 108 on Linux, one for the end. */
const SOCKET_PATH_LIMIT = process.platform === 'linux' ? 107 : 103

/** Suites of TLS 1.2 with forward secrecy and authenticated encryption. */
export const DEFAULT_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

/**
 * What systemd says to the process that it starts: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). What a pid
 * says is meant for another process is left alone.
 */
export function readSystemd(environment: NodeJS.ProcessEnv, faults: string[]) {
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

export function crossCheck(config: Config, faults: string[]): void {
  if (config.scheduling === 'reuseport' && config.port === 0) {
    faults.push('PORT: 0 would be another port for each worker with SCHEDULING=reuseport: name one')
  }
  if (config.scheduling === 'reuseport' && config.listenFd !== undefined) {
    faults.push('SCHEDULING: reuseport cannot listen on a socket given from outside; rr, shared and sticky can')
  }
  if (isSocketPath(config.host) && config.listenFd === undefined) checkSocketPath(config, faults)
  checkAdminPort(config, faults)
  checkRedis(config.redis, faults)
  if (config.tls) checkCiphers(config.tls, faults)
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
  if (heartbeatMs > 0 && heartbeatMs < 2 * HEARTBEAT_MS) {
    faults.push(
      `HEARTBEAT_TIMEOUT: must be 0 or at least ${2 * HEARTBEAT_MS}: workers are heard every ${HEARTBEAT_MS} ms`
    )
  }
  for (const [name, ranges] of [
    ['TRUST_PROXY', config.http.trustProxy ?? []],
    ['PROXY_PROTOCOL', config.http.proxyProtocol ?? []],
    ['RATE_EXEMPT', config.http.rate.exempt]
  ] as const) {
    for (const range of ranges) if (!isRange(range)) faults.push(`${name}: "${range}" is no address or CIDR range`)
  }
  if (!config.http.trustProxy) {
    if (config.http.proxyHeaders !== 'x-forwarded') faults.push('PROXY_HEADERS: has no effect without TRUST_PROXY')
    if (config.http.forwardedHost !== 'ignore') faults.push('FORWARDED_HOST: has no effect without TRUST_PROXY')
  }
  const length = Buffer.byteLength(config.adminSocket)
  if (length > SOCKET_PATH_LIMIT) {
    faults.push(
      `RUN_DIR: too long for a Unix socket (${length} bytes, ${SOCKET_PATH_LIMIT} at most): ${config.adminSocket}`
    )
  }
}

function checkAdminPort({ adminPort, host, port, listenFd, variables }: Config, faults: string[]): void {
  if (!adminPort) {
    if (variables.ADMIN_HOST !== null) faults.push('ADMIN_HOST: has no effect without ADMIN_PORT: set that too')
    return
  }
  if (adminPort.port !== 0 && adminPort.port === port && adminPort.host === host && listenFd === undefined) {
    faults.push('ADMIN_PORT: must differ from PORT; unset it to have everything at PORT')
  }
  if (isSocketPath(adminPort.host)) faults.push('ADMIN_HOST: must be an address, not a path')
}

function checkSocketPath({ host, scheduling }: Config, faults: string[]): void {
  if (scheduling === 'reuseport') {
    faults.push('SCHEDULING: reuseport cannot share a Unix socket (HOST is a path); rr, shared and sticky can')
  }
  const length = Buffer.byteLength(host)
  if (length > SOCKET_PATH_LIMIT) {
    faults.push(`HOST: too long for a Unix socket (${length} bytes, ${SOCKET_PATH_LIMIT} at most): ${host}`)
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

function checkCiphers({ ciphers }: NonNullable<Config['tls']>, faults: string[]): void {
  if (/(^|[:, ])TLS_/.test(ciphers)) {
    faults.push('TLS_CIPHERS: must list suites of TLS 1.2 only: those of TLS 1.3 are all secure and always on')
    return
  }
  try {
    process.getBuiltinModule('node:tls').createSecureContext({ ciphers, maxVersion: 'TLSv1.2' })
  } catch (error) {
    faults.push(`TLS_CIPHERS: OpenSSL finds no cipher suite in ${JSON.stringify(ciphers)}: ${(error as Error).message}`)
  }
}

/** The variable holds a path; what it becomes is the content. */
export function readCertificates(given: Record<string, unknown>, faults: string[]): void {
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

/**
 * Reads the certificate and its key, and checks that they can be served.
 * @param pair in place of what is in the files
 * @returns undefined when they are not set, or not right
 */
export function readTls(given: Record<string, unknown>, faults: string[], pair?: CertificatePair) {
  const { TLS_CERT, TLS_KEY } = given
  if (TLS_CERT === undefined && TLS_KEY === undefined) return undefined
  if (TLS_CERT === undefined) faults.push('TLS_CERT: must be set, since TLS_KEY is')
  if (TLS_KEY === undefined) faults.push('TLS_KEY: must be set, since TLS_CERT is')
  const cert = readPem(given, 'TLS_CERT', 'certificate', (pem) => new X509Certificate(pem), faults, pair?.cert)
  const key = readPem(
    given,
    'TLS_KEY',
    'private key without a passphrase',
    (pem) => createPrivateKey(pem),
    faults,
    pair?.key
  )
  if (!cert || !key) return undefined
  if (!cert.value.checkPrivateKey(key.value)) {
    faults.push(`TLS_KEY: ${TLS_KEY} does not fit: it is not the key of the first certificate in TLS_CERT`)
    return undefined
  }
  try {
    // Not loaded where it is not used: it takes its time.
    process.getBuiltinModule('node:tls').createSecureContext({ cert: cert.pem, key: key.pem })
  } catch (error) {
    faults.push(`TLS_CERT: ${TLS_CERT} and TLS_KEY cannot be served: ${(error as Error).message}`)
    return undefined
  }
  return { cert: cert.pem, key: key.pem, expiresAt: Date.parse(cert.value.validTo) }
}

/** What a path holds, whatever is wrong with it: no fault shows any of it. */
function readPem<T>(
  given: Record<string, unknown>,
  name: 'TLS_CERT' | 'TLS_KEY',
  what: string,
  parse: (pem: string) => T,
  faults: string[],
  content?: string
): { pem: string; value: T } | undefined {
  const file = given[name]
  if (typeof file !== 'string') return undefined
  if (file.includes('-----BEGIN')) {
    faults.push(`${name}: must be the path of a file, not what is in it`)
    // Nor is it to be shown by anybody else.
    delete given[name]
    return undefined
  }
  let pem: string
  try {
    pem = content ?? readFileSync(file, 'utf8')
  } catch (error) {
    faults.push(`${name}: cannot be read: ${(error as Error).message}`)
    return undefined
  }
  try {
    return { pem, value: parse(pem) }
  } catch (error) {
    faults.push(`${name}: ${file} holds no ${what}: ${(error as Error).message}`)
    return undefined
  }
}

export function readSecretFile(given: Record<string, unknown>, name: string, faults: string[]): void {
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

/** An IP address, or a CIDR range of them. */
function isRange(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const right = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= bits)
  return isIP(address) !== 0 && more.length === 0 && right
}
