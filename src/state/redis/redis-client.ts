import { Cluster, Redis } from 'ioredis'
import { parseRedisUrl, type RedisTarget } from '../../config/redis-url.ts'

/** A client of one server, of the primary that Sentinels name, or of a whole Cluster. Commands are the same for all three. */
export type RedisClient = Redis | Cluster

export interface ClientOptions {
  /** Longest time of a command, of connecting, and of silence while commands are outstanding, in ms. */
  timeoutMs: number
  /** Certificates to trust, in PEM; undefined: the ones that Node trusts. */
  ca?: string | undefined
  /** Whether the client is for subscriptions: no pipelines, and no automatic subscription after a new connection. */
  forSubscriptions?: boolean
  /** Whether the client is for writes that replicas confirm: no pipelines, since the order of commands matters. */
  forConfirmedWrites?: boolean
}

/** Commands that carry a whole batch. An automatic pipeline around one would cost more than the command. */
const BATCH_COMMANDS = ['musterIncrementBy', 'musterReadSessions', 'musterVisitSessions', 'musterCountVisits'] as const
export type BatchCommand = (typeof BATCH_COMMANDS)[number]

/** How long a connection that the client ends may wait for the FIN of Redis before it is destroyed, in ms. */
const DISCONNECT_MS = 500

/** Returns the pause before the nth attempt to connect, in ms. */
export const retryDelay = (times: number): number => Math.min(50 * 2 ** (times - 1), 1000) + Math.random() * 50

/**
 * Creates a client that has not connected yet. It sends a command at most once (with ioredis' defaults, a counter reached 10
 * after 5 lost replies), rejects at once when there is no connection, and reconnects by itself.
 * @param url see {@link parseRedisUrl}, which throws for a URL that it does not know
 */
export function createClient(url: string, options: ClientOptions): RedisClient {
  const { timeoutMs, ca, forSubscriptions = false, forConfirmedWrites = false } = options
  const target = parseRedisUrl(url)
  const tls = target.kind !== 'socket' && target.tls ? { ...(ca && { ca }) } : undefined
  const common = commonOptions(timeoutMs, tls)
  if (target.kind === 'cluster') return createCluster(target, common, timeoutMs, tls)
  const single = {
    ...common,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: !forSubscriptions && !forConfirmedWrites,
    autoPipeliningIgnoredCommands: [...BATCH_COMMANDS],
    autoResubscribe: !forSubscriptions,
    retryStrategy: retryDelay,
    // The monitor of the other client looks after READONLY; this one has no monitor.
    ...(forConfirmedWrites && { reconnectOnError: ({ message }: Error) => message.includes('READONLY') })
  }
  if (target.kind === 'socket') return new Redis({ ...single, path: target.path })
  const { kind, tls: _, ...address } = target
  if (kind === 'server') return new Redis({ ...single, ...address })
  return new Redis({
    ...single,
    ...address,
    ...(tls && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    sentinelCommandTimeout: timeoutMs,
    sentinelRetryStrategy: retryDelay,
    failoverDetector: true,
    // A Sentinel that was cut off may name a former primary. The ready check finds that out, and the next Sentinel is asked.
    enableReadyCheck: true,
    maxLoadingRetryTime: 500
  })
}

type Tls = { ca?: string } | undefined

/** Options of every connection, also of those to the nodes of a Cluster. */
function commonOptions(timeoutMs: number, tls: Tls) {
  return {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: timeoutMs,
    connectTimeout: timeoutMs,
    // A silent connection is closed together with its first command that times out. Later commands do not wait behind it.
    socketTimeout: timeoutMs,
    disconnectTimeout: DISCONNECT_MS,
    disableClientInfo: true,
    // The probe of RedisConnection checks whether Redis takes commands, and learns the reason when it does not.
    enableReadyCheck: false,
    ...(tls && { tls })
  }
}

function createCluster(
  { kind, tls: _, nodes, ...login }: RedisTarget & { kind: 'cluster' },
  common: ReturnType<typeof commonOptions>,
  timeoutMs: number,
  tls: Tls
): Cluster {
  return new Cluster(nodes, {
    redisOptions: { ...common, ...login },
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    // In a pipeline that meets a moving slot, commands on missing keys fail instead of being redirected (measured).
    enableAutoPipelining: false,
    clusterRetryStrategy: retryDelay,
    slotsRefreshTimeout: timeoutMs,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 50,
    // A certificate names a host, so the host name must not be replaced by its address.
    ...(tls && { dnsLookup: (host: string, found: (error: null, address: string) => void) => found(null, host) })
  })
}
