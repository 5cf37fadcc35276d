import { StartupError } from '../../common/errors.ts'
import type { Config } from '../../config/load.ts'
import type { InheritedPorts } from '../listener/listening-ports.ts'
import type { Share } from '../policy/types.ts'
import type { Inheritance, SocketName } from './upgrade-messages.ts'

/** Addresses that stand for all addresses of the machine. */
const ALL = ['0.0.0.0', '::']

/** How a primary begins. */
export interface Beginning {
  workers: number
  generation: number
  share: Share | undefined
  ticketKeys: Buffer | undefined
  ports: InheritedPorts
  /** Where the embedded Redis of the other primary listens. */
  redisSocket: string | undefined
}

/** How a primary begins that replaces no other one. */
export const freshStart = ({ workers }: Config): Beginning => ({
  workers,
  generation: 1,
  share: undefined,
  ticketKeys: undefined,
  ports: {},
  redisSocket: undefined
})

/**
 * How the successor of another primary begins: with its sockets, its generation, its number of workers.
 * @throws StartupError for what only a restart can change
 */
export function inherit(
  config: Config,
  { inheritance, sockets }: { inheritance: Inheritance; sockets: ReadonlyMap<SocketName, object> }
): Beginning {
  const issues = issuesOf(config, inheritance)
  if (issues.length > 0) throw new StartupError(issues.join('; '))
  const { generation, desired, workers, ticketKeys, redisSocket, numbers, isPassed } = inheritance
  const port = sockets.get('port')
  const adminPort = sockets.get('adminPort')
  return {
    // A number that an operator has asked for lasts until WORKERS changes.
    workers: config.workers === workers ? Math.min(desired, config.maxWorkers) : config.workers,
    generation: generation + 1,
    share: { from: 0, to: 0, isCandidate: true },
    ticketKeys: ticketKeys === undefined ? undefined : Buffer.from(ticketKeys, 'base64'),
    redisSocket,
    ports: {
      port:
        port && (isPassed || isSamePort(config, inheritance))
          ? { handle: port, number: numbers.port, isPassed }
          : closed(port),
      adminPort:
        adminPort && isSameAdminPort(config, inheritance)
          ? { handle: adminPort, number: numbers.adminPort, isPassed: false }
          : closed(adminPort)
    }
  }
}

function issuesOf(config: Config, old: Inheritance): string[] {
  const issues: string[] = []
  if (config.runDir !== old.runDir) {
    issues.push(`RUN_DIR: only a restart can change it, from ${old.runDir} to ${config.runDir}`)
  }
  if (!old.isPassed && overlaps(config, old)) {
    issues.push(
      `HOST: ${config.host} and ${old.host} overlap, so both primaries cannot listen on port ${config.port}: change PORT at the same time, or restart`
    )
  }
  const isOwn = (scheduling: string) => scheduling === 'reuseport'
  const isSame = old.isPassed || isSamePort(config, old)
  if (isSame && isOwn(config.scheduling) !== isOwn(old.scheduling)) {
    issues.push(
      `SCHEDULING: only a restart, or another PORT at the same time, can change it from ${old.scheduling} to ${config.scheduling}`
    )
  }
  if (isSame && isIsolated(config, old)) {
    issues.push('TLS_CERT, TLS_KEY: only a restart, or another PORT at the same time, can turn TLS on or off')
  }
  return issues
}

/** Whether only one of the two primaries uses TLS: the other one cannot serve its connections. */
export const isIsolated = (config: Config, { usesTls }: Inheritance): boolean =>
  usesTls !== undefined && usesTls !== (config.tls !== undefined)

/** Whether the addresses differ, and one of them stands for all addresses of the machine. */
const overlaps = (config: Config, old: Inheritance) =>
  config.host !== old.host &&
  config.port === (old.numbers.port ?? old.port) &&
  [config.host, old.host].some((host) => ALL.includes(host))

const isSamePort = (config: Config, old: Inheritance) => config.host === old.host && config.port === old.port

const isSameAdminPort = ({ adminPort }: Config, old: Inheritance) =>
  adminPort?.host === old.adminPort?.host && adminPort?.port === old.adminPort?.port

/** Closes a socket that this primary does not use: otherwise clients of the old port would wait for ever. */
function closed(handle: object | undefined): undefined {
  if (handle) (handle as { close(): void }).close()
}
