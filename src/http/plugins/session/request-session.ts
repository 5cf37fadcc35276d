import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Counts, SafeSessionStore } from '../../../state/sessions/session-store.ts'
import type { Tracing } from '../tracing/tracing.ts'

type Session = FastifyRequest['session']

/** What sessions of the service are made of. */
export interface SessionBackend {
  store: SafeSessionStore
  /** Reads the session of a cookie value into `request.session`; of an empty value: makes a new session, synchronously. */
  decrypt(cookie: string, request: FastifyRequest, done: (error?: unknown) => void): void
  /** Undefined: nothing is traced. */
  tracing: Tracing | undefined
}

/** The session of one request, and what happens to it before the answer is sent. */
export class RequestSession {
  /** Null after a handler has destroyed it; undefined when it could not be loaded. */
  session: Session | null | undefined
  /** Undefined: the session is not the service's, but one that the app or a plugin of the app has assigned. */
  readonly backend: SessionBackend | undefined
  /** The value of the session cookie that the client has. */
  cookie: string | undefined
  /** Counted when the session is read. */
  readonly counts: Counts | undefined
  /** The hit that was counted then. Undefined: none, or it was taken. */
  hit: number | undefined
  /** Why the session could not be loaded. */
  failure: unknown
  /** Changes of the session by this request are not stored, because its handler threw or signed out. */
  isDropped = false
  /** The answer deletes the cookie, unless it sets one. */
  clearsCookie = false
  /** During a sign-in: the session that the new one will replace, and the user who signs in. */
  signIn: { old: Session; user: string } | undefined

  constructor(session: Session | null | undefined, backend?: SessionBackend, cookie?: string, counts?: Counts) {
    this.session = session
    this.backend = backend
    this.cookie = cookie
    this.counts = counts
    this.hit = undefined
    this.failure = undefined
    this.signIn = undefined
  }
}

/** The session of a request that is one of the service. */
type AnyOwnSession = RequestSession & { backend: SessionBackend }
/** One that is loaded. */
export type OwnSession = AnyOwnSession & { session: Session }

const STATE = Symbol('session')
type WithState = FastifyRequest & { [STATE]?: RequestSession }

/**
 * Defines `request.session` for this scope and those in it. It is a property of the prototype, so a session plugin of the app can
 * decorate requests of an inner scope with the same name.
 */
export function declareSession(scope: FastifyInstance): void {
  scope.decorateRequest('session', { getter: getSession as () => Session, setter: setSession })
}

/** @throws the error with which loading the session failed */
function getSession(this: WithState): Session | null {
  const state = this[STATE]
  if (!state) return null
  if (state.session === undefined && state.failure) throw state.failure
  return state.session ?? null
}

function setSession(this: WithState, session: Session | null): void {
  const state = this[STATE]
  // A session of the service is assigned by @fastify/session, and has an id. Any other value is the app's own, and not stored.
  if (state && (!state.backend || !session || session.encryptedSessionId)) state.session = session
  else this[STATE] = new RequestSession(session)
}

/** Whether `request.session` is the property that {@link declareSession} has defined: the same for all requests of a scope. */
export function isDeclared(request: FastifyRequest): boolean {
  let owner: object | null = request
  while (owner && !Object.hasOwn(owner, 'session')) owner = Object.getPrototypeOf(owner)
  return owner !== null && Object.getOwnPropertyDescriptor(owner, 'session')?.get === getSession
}

/** Whether the request has a session of the service, or other code has assigned `request.session`. */
export const isAssigned = (request: FastifyRequest): boolean => (request as WithState)[STATE] !== undefined

/** Marks the session of a request as one of the service. It is not loaded yet. */
export function attachSession(
  request: FastifyRequest,
  backend: SessionBackend,
  cookie: string | undefined,
  counts: Counts | undefined
): RequestSession {
  const state = new RequestSession(undefined, backend, cookie, counts)
  ;(request as WithState)[STATE] = state
  return state
}

/** @returns undefined when the route has no session, or one that is not the service's */
export function findSession(request: FastifyRequest): AnyOwnSession | undefined {
  const state = (request as WithState)[STATE]
  return state?.backend && (state as AnyOwnSession)
}

export const isLoaded = (state: AnyOwnSession): state is OwnSession => !!state.session

/**
 * Returns the session of a request, for functions that need one of the service.
 * @throws HttpError 503 when it could not be loaded; an Error when the route has none
 */
export function requireSession(request: FastifyRequest): OwnSession {
  const state = findSession(request)
  if (state && isLoaded(state)) return state
  if (state?.failure) throw state.failure
  const { method, url } = request.routeOptions
  throw new Error(
    `${method} ${url} has no session of this service: its config, the options of the app or a plugin say so`
  )
}
