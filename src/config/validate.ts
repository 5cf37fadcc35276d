import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { isSocketPath } from '../common/errors.ts'
import { isRangeText, parseRange } from '../common/worker-range.ts'
import { HEARTBEAT_MS } from '../ipc/messages.ts'
import type { Config } from './configuration.ts'
import { usableCpus } from './cpu-quota.ts'
import { parseRedisUrl } from './redis-url.ts'
import { NO_LOADER } from './typescript.ts'

/** The shortest secret or token, in characters: it must not be guessable. */
const MIN_SECRET_LENGTH = 32
/** The longest path of a Unix socket, in bytes: sun_path has 108 on Linux and 104 on macOS, one of them for the end. */
const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103

/** OTLP over HTTP. */
const OTLP_PROTOCOLS = new Set(['http/protobuf', 'http/json'])

/** Each heartbeat is a command in Redis. */
const MIN_HOST_HEARTBEAT_MS = 100

/** Checks what no single variable tells: rules between variables, and values that the schema cannot check. */
export function crossCheck(config: Config, issues: string[]): void {
  checkListening(config, issues)
  checkAdminPort(config, issues)
  checkRedis(config.redis, issues)
  checkHosts(config, issues)
  checkTelemetry(config, issues)
  if (config.tls) checkCiphers(config.tls.ciphers, issues)
  if (config.app && !existsSync(config.app)) {
    issues.push(`APP: module "${config.app}" not found: set the path of a file, or the name of an installed package`)
  } else if (config.loader.kind === 'missing') issues.push(`APP: ${NO_LOADER}`)
  checkSecrets(config, issues)
  checkWorkers(config, issues)
  checkLimits(config, issues)
  checkProxies(config.http, issues)
}

function checkTelemetry({ telemetry }: Config, issues: string[]): void {
  if (!telemetry || OTLP_PROTOCOLS.has(telemetry.protocol)) return
  issues.push(
    `OTEL_EXPORTER_OTLP_PROTOCOL: must be one of ${[...OTLP_PROTOCOLS].join(', ')}, not ${JSON.stringify(telemetry.protocol)}`
  )
}

function checkListening({ scheduling, port, host, listenFd, adminSocket }: Config, issues: string[]): void {
  if (scheduling === 'reuseport') {
    if (port === 0) {
      issues.push('PORT: 0 would give each worker another port with SCHEDULING=reuseport: set a port number')
    }
    if (listenFd !== undefined) {
      issues.push('SCHEDULING: reuseport cannot use a socket that systemd passes: use rr, shared or sticky')
    }
  }
  if (isSocketPath(host) && listenFd === undefined) {
    if (scheduling === 'reuseport') {
      issues.push('SCHEDULING: reuseport cannot share a Unix socket (HOST is a path): use rr, shared or sticky')
    }
    checkSocketPath('HOST', host, issues)
  }
  checkSocketPath('RUN_DIR', adminSocket, issues)
}

function checkSocketPath(name: string, path: string, issues: string[]): void {
  const length = Buffer.byteLength(path)
  if (length <= MAX_SOCKET_PATH_BYTES) return
  issues.push(`${name}: too long for a Unix socket (${length} bytes, ${MAX_SOCKET_PATH_BYTES} at most): ${path}`)
}

function checkAdminPort({ adminPort, host, port, listenFd, variables }: Config, issues: string[]): void {
  if (!adminPort) {
    if (variables.ADMIN_HOST !== null) issues.push('ADMIN_HOST: has no effect without ADMIN_PORT: set that too')
    return
  }
  if (adminPort.port !== 0 && adminPort.port === port && adminPort.host === host && listenFd === undefined) {
    issues.push('ADMIN_PORT: must differ from PORT; unset it to serve everything at PORT')
  }
  if (isSocketPath(adminPort.host)) issues.push('ADMIN_HOST: must be an address, not a path')
}

function checkRedis({ off, url, ca, replicas }: Config['redis'], issues: string[]): void {
  if (off && url) issues.push('REDIS: off contradicts REDIS_URL: unset one of them')
  if (replicas > 0 && off) issues.push('REDIS_DURABILITY: needs Redis, and REDIS is off: unset one of them')
  else if (replicas > 0 && !url) {
    issues.push('REDIS_DURABILITY: the embedded Redis has no replicas: set a REDIS_URL with Sentinels or a Cluster')
  }
  try {
    const target = url && parseRedisUrl(url)
    const isTls = target && 'tls' in target && target.tls
    if (ca && !isTls) issues.push('REDIS_CA: has no effect without TLS: set a REDIS_URL that starts with rediss')
  } catch (error) {
    issues.push(`REDIS_URL: ${(error as Error).message}`)
  }
}

function checkHosts({ hosts, redis }: Config, issues: string[]): void {
  if (hosts.heartbeatMs > 0 && hosts.heartbeatMs < MIN_HOST_HEARTBEAT_MS) {
    issues.push(`HOST_HEARTBEAT: must be 0 or at least ${MIN_HOST_HEARTBEAT_MS}`)
  }
  if (hosts.takesTurns && redis.off) issues.push('ROLLOUT_LEASE: is kept in Redis, and REDIS is off: unset one of them')
}

function checkCiphers(ciphers: string, issues: string[]): void {
  if (/(^|[:, ])TLS_/.test(ciphers)) {
    issues.push('TLS_CIPHERS: must list suites of TLS 1.2 only: those of TLS 1.3 are all secure and always on')
    return
  }
  try {
    process.getBuiltinModule('node:tls').createSecureContext({ ciphers, maxVersion: 'TLSv1.2' })
  } catch (error) {
    issues.push(`TLS_CIPHERS: OpenSSL finds no cipher suite in ${JSON.stringify(ciphers)}: ${(error as Error).message}`)
  }
}

function checkSecrets({ session, admin, metricsTokens }: Config, issues: string[]): void {
  const secrets = {
    SESSION_SECRET: session.secrets,
    ADMIN_TOKEN: admin.controlTokens,
    ADMIN_READ_TOKEN: admin.readTokens,
    METRICS_TOKEN: metricsTokens
  }
  for (const [name, given] of Object.entries(secrets)) {
    if (given?.length === 0 || given?.some((secret) => secret.length < MIN_SECRET_LENGTH)) {
      issues.push(`${name}: must have ${MIN_SECRET_LENGTH} characters or more; \`openssl rand -hex 32\` makes one`)
    }
  }
  if (admin.controlTokens?.some((token) => admin.readTokens?.includes(token))) {
    issues.push('ADMIN_READ_TOKEN: must not be one of ADMIN_TOKEN')
  }
}

function checkWorkers({ workers, autoscaling, maxWorkers, variables }: Config, issues: string[]): void {
  const text = String(variables.WORKERS)
  const range = isRangeText(text) ? parseRange(text, usableCpus()) : undefined
  if (typeof range === 'string') issues.push(`WORKERS: "${text}": ${range}`)
  else if (Math.max(workers, autoscaling.range?.max ?? 0) > maxWorkers) {
    issues.push(`WORKERS: must not exceed MAX_WORKERS, which is ${maxWorkers}`)
  }
}

function checkLimits({ session, http, limits }: Config, issues: string[]): void {
  if (session.idleMs > session.maxAgeMs) issues.push('SESSION_IDLE: must not exceed SESSION_MAX_AGE')
  if (http.headersMs > http.requestMs) issues.push('HEADERS_TIMEOUT: must not exceed REQUEST_TIMEOUT')
  const minHeartbeatMs = 2 * HEARTBEAT_MS
  if (limits.heartbeatMs > 0 && limits.heartbeatMs < minHeartbeatMs) {
    issues.push(
      `HEARTBEAT_TIMEOUT: must be 0 or at least ${minHeartbeatMs}: workers send a heartbeat every ${HEARTBEAT_MS} ms`
    )
  }
}

function checkProxies(
  { trustProxy, proxyProtocol, rate, proxyHeaders, forwardedHost }: Config['http'],
  issues: string[]
) {
  for (const [name, ranges] of [
    ['TRUST_PROXY', trustProxy ?? []],
    ['PROXY_PROTOCOL', proxyProtocol ?? []],
    ['RATE_EXEMPT', rate.exempt]
  ] as const) {
    for (const range of ranges) {
      if (!isAddressRange(range)) issues.push(`${name}: "${range}" is not an IP address or a CIDR range`)
    }
  }
  if (trustProxy) return
  if (proxyHeaders !== 'x-forwarded') issues.push('PROXY_HEADERS: has no effect without TRUST_PROXY: set that too')
  if (forwardedHost !== 'ignore') issues.push('FORWARDED_HOST: has no effect without TRUST_PROXY: set that too')
}

/** True for an IP address or a CIDR range, except a range of all addresses. */
function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= bits)
  return isIP(address) !== 0 && more.length === 0 && isPrefix
}
