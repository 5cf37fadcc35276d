import { DrillError } from './drill-errors.ts'
import type { Address } from './load/http-connection.ts'
import type { DrillTarget } from './service-watch.ts'

/** What the drill needs of the configuration in force. Times are in ms. */
export interface ServiceSettings {
  address: Address
  /** Where /metrics and /docs are; undefined: at a port that the configuration does not name. */
  adminAddress: Address | undefined
  host: string
  heartbeatMs: number
  bootMs: number
  headersMs: number
  redisTimeoutMs: number
  redis: 'embedded' | 'external' | 'off'
  hasMetricsToken: boolean
  maxConnectionsPerClient: number
  closesConnections: boolean
  hasRolloutLease: boolean
}

/** Reads the settings of the service. @throws DrillError when it does not answer */
export async function readServiceSettings(target: DrillTarget): Promise<ServiceSettings> {
  const [config, status] = [await target.ask('config'), await target.ask('status')]
  if (!('result' in config) || !('result' in status)) throw new DrillError((config as { message: string }).message)
  return readSettings(config.result as Record<string, unknown>, (status.result as { url: string }).url)
}

/**
 * Reads the answers of the commands `config` and `status`.
 * @param url of the service, or the path of its Unix socket
 */
export function readSettings(config: Readonly<Record<string, unknown>>, url: string): ServiceSettings {
  const text = (name: string) => (config[name] === null || config[name] === undefined ? '' : String(config[name]))
  const number = (name: string) => Number(config[name] ?? 0)
  const host = text('HOST')
  const address = addressOf(url, host)
  const isApart = text('ADMIN_PORT') !== ''
  const adminPort = number('ADMIN_PORT')
  const adminHost = text('ADMIN_HOST') || (host.startsWith('/') ? '127.0.0.1' : host)
  const apart = { host: reachable(adminHost), port: adminPort, isSecure: address.isSecure }
  return {
    address,
    adminAddress: isApart ? (adminPort > 0 ? apart : undefined) : address,
    host,
    heartbeatMs: number('HEARTBEAT_TIMEOUT'),
    bootMs: number('BOOT_TIMEOUT'),
    headersMs: number('HEADERS_TIMEOUT'),
    redisTimeoutMs: number('REDIS_TIMEOUT'),
    redis: text('REDIS') === 'off' ? 'off' : text('REDIS_URL') === '' ? 'embedded' : 'external',
    hasMetricsToken: text('METRICS_TOKEN') !== '',
    maxConnectionsPerClient: number('MAX_CONNECTIONS_PER_CLIENT'),
    closesConnections: number('MAX_REQUESTS_PER_CONNECTION') > 0,
    hasRolloutLease: number('ROLLOUT_LEASE') === 1
  }
}

/** Whether only this machine can reach an address. A Unix socket is one of this machine. */
export const isLoopback = (host: string): boolean => /^(127\.|::1$|localhost$|\/)/.test(host)

function addressOf(url: string, host: string): Address {
  if (url.startsWith('/')) return { host: 'localhost', port: 0, path: url, isSecure: false }
  const { protocol, port } = new URL(url)
  const isSecure = protocol === 'https:'
  return { host: reachable(host), port: Number(port || (isSecure ? 443 : 80)), isSecure }
}

/** The address that a client of this machine uses for one that stands for all. */
const reachable = (host: string) => (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host)
