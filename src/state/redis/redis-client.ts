import { Cluster, Command, Redis } from 'ioredis'
import { parseRedisUrl, type RedisTarget } from '../../config/redis-url.ts'

/** A client of one server, of the primary that Sentinels name, or of a whole Cluster. Commands are the same for all three. */
export type RedisClient = Redis | Cluster

export interface ClientOptions {
  /** Longest time of a command, of connecting, and of silence while commands are outstanding, in ms. */
  timeoutMs: number
  /** Certificates to trust, in PEM; undefined: the ones that Node trusts. */
  ca?: string | undefined
  /** Whether the client is for subscriptions: it does not subscribe by itself after a new connection. */
  forSubscriptions?: boolean
  /** Whether the client is for writes that replicas confirm. */
  forConfirmedWrites?: boolean
}

interface Timers {
  _commandTimeoutTimer: NodeJS.Timeout | undefined
  _blockingTimeoutTimer: NodeJS.Timeout | undefined
}

/**
 * Replaces a method of ioredis 6 that deletes these properties of a command when it is settled. On Node 24, V8 then turns the object into a
 * dictionary, which takes 13 % of the CPU of a page that begins a session.
 */
const commands = Command.prototype as unknown as { _clearTimers(this: Timers): void }
commands._clearTimers = function () {
  for (const name of ['_commandTimeoutTimer', '_blockingTimeoutTimer'] as const) {
    if (!this[name]) continue
    clearTimeout(this[name])
    this[name] = undefined
  }
}

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
    autoResubscribe: !forSubscriptions,
    retryStrategy: retryDelay,
    // The monitor of the other client looks after READONLY; this one has no monitor.
    ...(forConfirmedWrites && { reconnectOnError: ({ message }: Error) => message.includes('READONLY') })
  }
  if (target.kind === 'socket') return gatherWrites(new Redis({ ...single, path: target.path }))
  const { kind, tls: _, ...address } = target
  if (kind === 'server') return gatherWrites(new Redis({ ...single, ...address }))
  return gatherWrites(
    new Redis({
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
  )
}

/**
 * Lets the commands of one turn of the event loop leave with one system call. The automatic pipelines of ioredis 6 do that too, but each
 * defines a getter of its own, which V8 keeps, with all the pipeline held, until the next full collection; they cost more CPU; and in
 * one that meets a moving slot of a Cluster, commands on missing keys fail instead of being redirected (measured).
 */
function gatherWrites(connection: Redis): Redis {
  const send = connection.sendCommand.bind(connection)
  connection.sendCommand = (command, stream) => {
    const socket = connection.stream
    if (socket?.writableCorked === 0) {
      socket.cork()
      setImmediate(() => socket.uncork())
    }
    return send(command, stream)
  }
  return connection
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
  const cluster = new Cluster(nodes, {
    redisOptions: { ...common, ...login },
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    clusterRetryStrategy: retryDelay,
    slotsRefreshTimeout: timeoutMs,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 50,
    // A certificate names a host, so the host name must not be replaced by its address.
    ...(tls && { dnsLookup: (host: string, found: (error: null, address: string) => void) => found(null, host) })
  })
  cluster.on('+node', gatherWrites)
  return cluster
}
