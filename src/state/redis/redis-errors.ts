/** Wrong credentials, no rights, a database that does not exist. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password|ERR DB index|ERR invalid DB)/
/** `code` of errors of TLS about a certificate: it has ended, is of somebody else, or nobody known has signed it. */
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/
/**
 * Replies that are about the server or the user, not about the command. Up to Redis 6.2 a script has them within its own
 * error; a script that is denied something has words of its own, others up to Redis 7.0 than later.
 */
const UNFIT =
  /\b(LOADING|READONLY|MASTERDOWN|OOM|MISCONF|NOREPLICAS|BUSY|NOAUTH|WRONGPASS|NOPERM|CLUSTERDOWN)\b|user executing the script|ACL failure/

/** There was a connection, and it ended without a word. */
export const CLOSED = new Error('the connection was closed')

/** A caller has waited for its answer for as long as a command may take. */
export const NO_ANSWER = new Error('Command timed out')

/** Whether a command that failed so makes it likely that others will. */
export const isOfServer = ({ name, message }: Error): boolean => name !== 'ReplyError' || UNFIT.test(message)

/** What ioredis says of every command for which it has no connection: nothing about why. */
export const isUnsent = ({ message }: Error): boolean =>
  /^(Stream isn't writeable|Connection is closed|Reached the max retries|Cluster isn't ready|None of startup)/.test(
    message
  )

const isTimeout = ({ message }: Error) => /^(Command timed out|Socket timeout)/.test(message)

/** What somebody has to set right; undefined where waiting may help. */
export function refusal({ message, code }: Error & { code?: string }): string | undefined {
  if (REFUSED.test(message)) return `Redis refuses what REDIS_URL says: ${message}`
  if (CERTIFICATE.test(code ?? '')) return `Redis has a certificate that is not trusted (REDIS_CA): ${message}`
  return undefined
}

/** For the log; not the error itself, since that of a failed login has the password in it. */
export function describe(error: Error, timeoutMs: number): string {
  return refusal(error) ?? (isTimeout(error) ? `no answer within ${timeoutMs} ms` : error.message)
}
