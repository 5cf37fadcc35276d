import { HttpError, stateUnavailable } from '../../common/errors.ts'

/**
 * Meaning of the errors that ioredis and Redis give. Replies of Redis begin with a code, which is documented. The errors of
 * ioredis itself have no code and, but for one, no class: their texts are matched here and nowhere else, and
 * test/unit/redis-errors.test.ts provokes each of them.
 */

/** Replies: wrong credentials, missing rights, a database that does not exist. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password|ERR DB index|ERR invalid DB)/
/** `code` of TLS errors about a certificate: it has expired, names another host, or is signed by an unknown authority. */
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/
/**
 * Replies that concern the server or the user, not one command. Up to Redis 6.2 a script wraps them in an error of its own. A
 * script that lacks a right gets other texts: one up to Redis 7.0, another one since.
 */
const SERVER_UNUSABLE =
  /\b(LOADING|READONLY|MASTERDOWN|OOM|MISCONF|NOREPLICAS|BUSY|NOAUTH|WRONGPASS|NOPERM|CLUSTERDOWN)\b|user executing the script|ACL failure/
/** Texts of ioredis for a command that it could not send, or whose connection was closed. They do not say why. */
const UNSENT = /^(Stream isn't writeable|Connection is closed|Cluster isn't ready|None of startup)/
/** Texts of ioredis for `commandTimeout` and `socketTimeout`. */
const TIMEOUT = /^(Command timed out|Socket timeout)/
/** Text of ioredis when no Sentinel gave an answer; the event `sentinelError` before it says why. */
const ALL_SENTINELS = /^All sentinels are unreachable/

/** The connection was closed, and no error says why. */
export const CLOSED = new Error('the connection was closed')

/** A caller has waited for its answer for the longest time that a command may take. */
export const NO_ANSWER = new Error('Command timed out')

/** Whether an error makes it likely that other commands fail too. */
export const isServerError = ({ name, message }: Error): boolean =>
  name !== 'ReplyError' || SERVER_UNUSABLE.test(message)

/** Whether ioredis had no connection for a command. Such an error does not tell the cause. */
export const isUnsent = ({ name, message }: Error): boolean =>
  name === 'MaxRetriesPerRequestError' || UNSENT.test(message)

/** Whether no Sentinel gave an answer. */
export const isSentinelFailure = ({ message }: Error): boolean => ALL_SENTINELS.test(message)

/** @returns what the operator has to correct; undefined where Redis may recover by itself */
export function misconfiguration({ message, code }: Error & { code?: string }): string | undefined {
  if (REFUSED.test(message)) return `Redis refuses what REDIS_URL says: ${message}`
  if (CERTIFICATE.test(code ?? '')) return `Redis has a certificate that is not trusted (REDIS_CA): ${message}`
  return undefined
}

/** Returns the text for the log. The error itself must not be logged: that of a failed login contains the password. */
export function describeError(error: Error, timeoutMs: number): string {
  const problem = misconfiguration(error)
  if (problem !== undefined) return problem
  return TIMEOUT.test(error.message) ? `no answer within ${timeoutMs} ms` : error.message
}

/** Errors of commands that failed because of the connection or the server. They have no class of their own. */
const outages = new WeakSet<Error>()

/** Remembers that a command failed with this error, unless the command itself was wrong. */
export function noteOutage(error: Error): void {
  if (isServerError(error)) outages.add(error)
}

/** Whether a command failed with this error because Redis is away, or cannot be used. */
export const isOutage = (error: unknown): boolean => outages.has(error as Error)

/** @throws HttpError as it is; any other error as HttpError 503, with the error as its cause */
export function mapRedisErrors<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw error instanceof HttpError ? error : stateUnavailable(error)
  })
}
