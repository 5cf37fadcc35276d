/** EX_CONFIG of sysexits.h: the configuration is invalid, or the service cannot boot. A process manager must not retry it. */
export const EXIT_CONFIG = 78

/** The service cannot start. The message says what to do. The process exits with {@link EXIT_CONFIG}. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

/** An error that clients may see. Fastify turns `statusCode`, `code` and the message into its JSON shape. */
export class HttpError extends Error {
  readonly statusCode: number
  readonly code: string
  /** The value of the `Retry-After` header, in seconds; undefined: retrying does not help. */
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

/** 501: the service runs without Redis. */
export function noRedis(): HttpError {
  return new HttpError(501, 'NO_REDIS', 'This needs Redis, and the service runs with REDIS=off')
}

/** 503: Redis does not answer. The cause is for the log: clients see no text of Redis. A cause for clients is returned as it is. */
export function stateUnavailable(cause: unknown): HttpError {
  if (cause instanceof HttpError) return cause
  return new HttpError(503, 'STATE_UNAVAILABLE', 'The shared state is not available at the moment', {
    cause,
    retryAfter: 1
  })
}

/** 409: another request, job or process has the lock. */
export function lockHeld(): HttpError {
  return new HttpError(409, 'LOCK_HELD', 'The lock is already held', { retryAfter: 1 })
}

/** 401: no token, or an invalid one. The client is not told which. */
export function unauthorized(): HttpError {
  return new HttpError(401, 'UNAUTHORIZED', 'A valid bearer token is needed')
}

/** 403: the client is known, but may not do this. */
export function forbidden(message: string): HttpError {
  return new HttpError(403, 'FORBIDDEN', message)
}

/** 429: too many wrong tokens. @param retryAfter in seconds */
export function tooManyAttempts(retryAfter: number): HttpError {
  return new HttpError(429, 'TOO_MANY_ATTEMPTS', 'Too many wrong tokens: wait, or use the admin socket', { retryAfter })
}

/** 503: a limit is reached. @param what the limit, such as `more than 16 commands at once` */
export function tooBusy(what: string): HttpError {
  return new HttpError(503, 'BUSY', `There are ${what}: try again later`, { retryAfter: 1 })
}

/** 503: requests of this route ended workers, or an operator refuses them. @param retryAfter in seconds */
export function routeQuarantined(retryAfter: number): HttpError {
  return new HttpError(503, 'ROUTE_QUARANTINED', 'This route is out of service for the time being', {
    retryAfter
  })
}

/** 503: the primary does not answer. */
export function primaryAway(cause: unknown): HttpError {
  return new HttpError(503, 'PRIMARY_AWAY', 'The primary does not answer', { cause, retryAfter: 1 })
}

/** The reason of an aborted lock: Redis did not renew it in time, so another process may hold the lock now. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
  readonly code = 'LEASE_LOST'

  constructor() {
    super('The lock was lost: Redis did not renew it in time')
  }
}

/** 404: no route has this path. */
export function notFound(method: string, path: string): HttpError {
  return new HttpError(404, 'NOT_FOUND', `There is nothing at ${method} ${path}`)
}

/** 405: the path has routes, but not for this method. */
export class MethodNotAllowedError extends HttpError {
  /** The value of the `Allow` header: the methods that the path has. */
  readonly allow: string

  constructor(method: string, path: string, allow: string) {
    super(405, 'METHOD_NOT_ALLOWED', `${method} is not a method of ${path}; it takes ${allow}`)
    this.allow = allow
  }
}

/** True when HOST is the path of a Unix socket instead of an address. */
export const isSocketPath = (host: string): boolean => host.startsWith('/')

/** Explains an error of `listen`, and what to do about it. @param prefix of the variables that are to be changed */
export function listenError(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
  prefix: '' | 'ADMIN_' = ''
): StartupError {
  if (isSocketPath(host)) return socketError(error, host)
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
      return new StartupError(
        `${prefix}HOST ${host} is not an address of this machine: set an address that it has, or 0.0.0.0 for all`
      )
    default:
      return new StartupError(`cannot listen on ${where}: ${error.message}`)
  }
}

function socketError(error: NodeJS.ErrnoException, path: string): StartupError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(`HOST ${path} is in use by another process or is not a socket: set HOST to another path`)
    // libuv reports ENOENT as EACCES too.
    case 'EACCES':
      return new StartupError(`HOST ${path} cannot be created: its folder must exist and be writable`)
    default:
      return new StartupError(`cannot listen on HOST ${path}: ${error.message}`)
  }
}
