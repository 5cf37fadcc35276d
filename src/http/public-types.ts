import type { RateLimitOptions } from '@fastify/rate-limit'
import type { FastifySessionObject } from '@fastify/session'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import type { ServiceView, SessionView, WorkerRequestCount } from '../ipc/messages.ts'
import type { RedisClient } from '../state/redis/redis-client.ts'
import type { SharedState } from '../state/shared/shared-state.ts'
import type { GetState } from './transferable.ts'

/** Identifies a worker. Answers contain it, so that people see which worker served them. */
export interface WorkerInfo {
  slot: number
  pid: number
  generation: number
  host: string
}

/** State that all workers share. */
export type Shared = Omit<SharedState, 'start' | 'stop' | 'ended' | 'deliver'>

/** `request.session` is one of these; add its members by `declare module 'fastify' { interface Session { … } }`. */
export type RequestSession = FastifySessionObject

/** `app.sessions`: signs users in and out and manages their sessions. Every method rejects with HttpError 503 when Redis is away. */
export interface Sessions {
  /**
   * Starts a new session under a new id, which takes over the visits. It replaces the old session, also for requests in
   * flight, after the handler has returned and before the answer is sent. If the handler throws or Redis fails, the old
   * session stays as it was.
   */
  signIn(request: FastifyRequest, user: string): Promise<void>
  /**
   * Deletes the session from Redis and the cookie from the browser. Later changes of the session by the same handler are not
   * stored.
   */
  signOut(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Lists the sessions of a user, at most 1,000, the most recently used first. */
  list(user: string): Promise<SessionView[]>
  /**
   * Ends sessions of a user.
   * @param handle of the one to end; without it all of them end
   * @returns the number of sessions that ended
   */
  end(user: string, handle?: string): Promise<number>
}

/** Inherited by the type of the app: so @fastify/redis, whose client replaces this one, may declare its own type. */
export interface WithRedis {
  /** The worker's only Redis client. Commands of one turn of the event loop are sent as one pipeline. */
  redis: RedisClient
}

declare module 'fastify' {
  interface FastifyInstance extends WithRedis {
    /** State that all workers share: counters, locks, settings, caches, broadcasts. */
    shared: Shared
    /** Signs users in and out, and manages their sessions. */
    sessions: Sessions
    /** The worker's Prometheus registry. Metrics that you register appear on /metrics, merged over all workers. */
    metrics: Registry
    /** Aborted when this worker starts to drain. End streams and endless work then. */
    draining: AbortSignal
    worker: WorkerInfo
    /** Returns the state of the service as the primary last reported it. */
    cluster: () => ServiceView
    /** Asks the primary for the request count of every worker. Rejects when the primary does not answer. */
    workerRequestCounts: () => Promise<WorkerRequestCount[]>
    /**
     * The `config.rateLimit` of a route that signs users in: SIGN_IN_LIMIT, for addresses that are not in RATE_EXEMPT; false when
     * there is no limit.
     */
    signInLimit: { max: number; allowList: (request: FastifyRequest) => boolean } | false
  }

  interface Session {
    /** When the session was first stored, in ms since 1970 by Redis' clock. Read-only: what a handler writes there is ignored. */
    createdAt?: number
    /** The user who signed in. */
    name?: string
  }

  interface FastifyRequest {
    /**
     * Lets the connection of this request move to another worker when this one drains: a WebSocket, or a GET whose response is an
     * event stream. A route with `config: { resumable: true }` has no need to call it.
     * @param getState what it returns, or resolves with, is `request.transferredState` in the next worker: JSON, at most 64 KiB.
     * It may be called more than once.
     */
    transferable(getState?: GetState): void
    /** What `getState` of the previous worker returned; undefined when the client has sent the request to this worker. */
    readonly transferredState: unknown
    /** For handlers of `close`: the client has not left, and another worker continues. */
    readonly wasTransferred: boolean
    /** Aborted when this worker drains and the request cannot continue in another one. End an event stream then. */
    readonly draining: AbortSignal
  }

  interface FastifyContextConfig {
    /** The route is a GET that answers with an event stream, which continues in another worker when this one drains. */
    resumable?: boolean
    /** False: the route has no session, sets no cookie and sends no session command to Redis. */
    session?: false
    /**
     * A request counts a visit of its session in the command that reads the session, even if a later hook or the handler fails.
     * `countVisit` then needs no command of its own.
     */
    countsVisit?: true
    /**
     * A request with a session cookie counts a hit in the command that reads the session, even if a later hook or the handler
     * fails. `countHit` then needs no command of its own.
     */
    countsHit?: true
    /**
     * Pages of other sites may use the route, although it changes something or opens a WebSocket. Such a route must not trust
     * the session alone. Origins that @fastify/cors allows need no such option.
     */
    crossSite?: true
    /** A limit of the route, counted over all workers and hosts; false: none. */
    rateLimit?: RateLimitOptions | false
    /** The route is answered even when the service is overloaded or the client is over its rate limit: for operators. */
    bypassLimits?: true
    /** How long a request of the route may take to arrive, in ms, in place of REQUEST_TIMEOUT; 0 means no limit. */
    requestTimeout?: number
    /** Machines request the route often: successful requests are logged at debug. */
    quiet?: boolean
    /** When ADMIN_PORT is set: the route exists at ADMIN_PORT only, or at both ports. Undefined: at PORT only. */
    port?: 'admin' | 'both'
  }
}
