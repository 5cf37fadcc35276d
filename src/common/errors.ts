/**
 * Every coded error of the project. What a client may see carries `statusCode` and `code`, which Fastify turns into
 * its JSON shape; what stops a start carries the exit code.
 */

/** sysexits.h EX_CONFIG: bad configuration, or a service that cannot boot. No supervisor should retry it blindly. */
export const EXIT_CONFIG = 78

/** The service cannot start as it was asked to; the message says what to do about it. Exit code {@link EXIT_CONFIG}. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

/** An error whose message a client may read. */
export class HttpError extends Error {
  readonly statusCode: number
  readonly code: string
  /** Seconds for the `Retry-After` header, where trying again makes sense. */
  readonly retryAfter: number | undefined

  constructor(
    statusCode: number,
    code: string,
    message: string,
    options: { cause?: unknown; retryAfter?: number } = {}
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.statusCode = statusCode
    this.code = code
    this.retryAfter = options.retryAfter
  }
}

/** 503: Redis does not answer. The cause is for the log; no word of Redis' own text reaches a client. */
export function stateUnavailable(cause: unknown): HttpError {
  return new HttpError(503, 'STATE_UNAVAILABLE', 'The shared state is not available at the moment', {
    cause,
    retryAfter: 1
  })
}

/** 409: another request, job or process has the lock. */
export function lockHeld(): HttpError {
  return new HttpError(409, 'LOCK_HELD', 'The lock is already held', { retryAfter: 1 })
}

/** 401: no token, or none that is valid: nobody is told which. */
export function unauthorized(): HttpError {
  return new HttpError(401, 'UNAUTHORIZED', 'A valid bearer token is needed')
}

/** 403: who asks is known, and may not. */
export function forbidden(message: string): HttpError {
  return new HttpError(403, 'FORBIDDEN', message)
}

/** 429: no more tries for so many seconds. */
export function tooManyAttempts(retryAfter: number): HttpError {
  return new HttpError(429, 'TOO_MANY_ATTEMPTS', 'Too many wrong tokens: wait, or use the socket', { retryAfter })
}

/** 503: too much of this at once. */
export function tooBusy(what: string): HttpError {
  return new HttpError(503, 'BUSY', `There are ${what}`, { retryAfter: 1 })
}

/** 503: the process that supervises this one does not answer any more. */
export function primaryAway(cause: unknown): HttpError {
  return new HttpError(503, 'PRIMARY_AWAY', 'The primary does not answer', { cause, retryAfter: 1 })
}

/** Aborts the signal of a lock that Redis did not renew in time: another process may hold the lock by now. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
  readonly code = 'LEASE_LOST'

  constructor() {
    super('The lock was lost: Redis did not renew it in time')
  }
}

/** 404 in Fastify's JSON shape. */
export function notFound(method: string, path: string): HttpError {
  return new HttpError(404, 'NOT_FOUND', `There is nothing at ${method} ${path}`)
}

/** 405: the path exists, the method does not; `allow` goes into the header of that name. */
export class MethodNotAllowedError extends HttpError {
  readonly allow: string

  constructor(method: string, path: string, allow: string) {
    super(405, 'METHOD_NOT_ALLOWED', `${method} is not a method of ${path}; it takes ${allow}`)
    this.allow = allow
  }
}

/** Whether HOST names a Unix socket instead of an address. */
export const isSocketPath = (host: string): boolean => host.startsWith('/')

/** What `listen` rejects with, in words that say what to do. */
export function listenError(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
  prefix: '' | 'ADMIN_' = ''
): StartupError {
  if (isSocketPath(host)) return socketFault(error, host)
  const where = `port ${port} of ${host}`
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(`${where} is taken by another process: end it, or set ${prefix}PORT to another`)
    case 'EACCES':
      return new StartupError(
        `${where} needs privileges: set ${prefix}PORT to 1024 or more, or allow it (setcap, systemd socket)`
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartupError(`${prefix}HOST ${host} is no address of this machine`)
    default:
      return new StartupError(`cannot listen on ${where}: ${error.message}`)
  }
}

function socketFault(error: NodeJS.ErrnoException, path: string): StartupError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(`HOST ${path} is in use by another process or is not a socket: set HOST to another path`)
    // libuv says EACCES for ENOENT too.
    case 'EACCES':
      return new StartupError(`HOST ${path} cannot be created: its folder must exist and be writable`)
    default:
      return new StartupError(`cannot listen on HOST ${path}: ${error.message}`)
  }
}
