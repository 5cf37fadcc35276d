import { Cluster, Redis } from 'ioredis'
import { parseRedisUrl } from '../../config/redis-url.ts'

/** One server, the primary that Sentinels name, or a whole Cluster: commands are the same. */
export type RedisClient = Redis | Cluster

export interface ClientOptions {
  /** How long a command, a connection and a silence with commands outstanding may take, in ms. */
  timeoutMs: number
  /** Certificates to trust, in PEM; undefined: those that Node trusts. */
  ca?: string | undefined
  /** It will ask for little else. */
  forSubscriptions?: boolean
}

/** What {@link Batches} sends: it is a whole batch by itself, and a pipeline around it would cost more than the command. */
const GATHERED = ['musterIncrementBy', 'musterReadSessions', 'musterCountVisits'] as const
export type Gathered = (typeof GATHERED)[number]

/** How long to wait before the connection is tried for the nth time, in ms. */
export const retryDelay = (times: number): number => Math.min(50 * 2 ** (times - 1), 1000) + Math.random() * 50

/**
 * A client that has not connected yet. It sends a command at most once (ioredis' defaults count 10 for 5 lost replies),
 * fails fast and clearly, and connects again by itself.
 * @param url as {@link parseRedisUrl} reads it; it throws for others
 */
export function createClient(url: string, { timeoutMs, ca, forSubscriptions = false }: ClientOptions): RedisClient {
  const target = parseRedisUrl(url)
  const tls = 'tls' in target && target.tls ? { tls: { ...(ca && { ca }) } } : {}
  /** Of every connection. */
  const common = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: timeoutMs,
    connectTimeout: timeoutMs,
    // A connection that is silent is given up with its first command: nobody waits behind those who waited.
    socketTimeout: timeoutMs,
    disconnectTimeout: timeoutMs,
    disableClientInfo: true,
    // Whether Redis takes commands, the link asks: it wants to know why not.
    enableReadyCheck: false,
    ...tls
  }
  const single = {
    ...common,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: !forSubscriptions,
    autoPipeliningIgnoredCommands: [...GATHERED],
    autoResubscribe: !forSubscriptions,
    retryStrategy: retryDelay
  }
  switch (target.kind) {
    case 'socket':
      return new Redis({ ...single, path: target.path })
    case 'server': {
      const { kind, tls: _, ...place } = target
      return new Redis({ ...single, ...place })
    }
    case 'sentinel': {
      const { kind, tls: _, ...place } = target
      return new Redis({
        ...single,
        ...place,
        ...(tls.tls && { sentinelTLS: tls.tls, enableTLSForSentinelMode: true }),
        sentinelCommandTimeout: timeoutMs,
        sentinelRetryStrategy: retryDelay,
        failoverDetector: true,
        // A Sentinel that was cut off names a primary that is none any more: then the next one is asked.
        enableReadyCheck: true,
        maxLoadingRetryTime: 500
      })
    }
    case 'cluster': {
      const { kind, tls: _, nodes, ...login } = target
      return new Cluster(nodes, {
        redisOptions: { ...common, ...login },
        lazyConnect: true,
        enableOfflineQueue: false,
        enableReadyCheck: false,
        // Of a pipeline that meets a slot on the move, what is not there fails instead of being sent on: measured.
        enableAutoPipelining: false,
        clusterRetryStrategy: retryDelay,
        slotsRefreshTimeout: timeoutMs,
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        retryDelayOnTryAgain: 50,
        // A certificate is for a name: it must not be replaced by an address.
        ...(tls.tls && {
          dnsLookup: (host: string, found: (error: null, address: string) => void) => found(null, host)
        })
      })
    }
  }
}
