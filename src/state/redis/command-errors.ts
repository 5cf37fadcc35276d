import type { Command } from 'ioredis'
import type { Logger } from '../../common/log.ts'
import { describeError, isServerError, isUnsent } from './redis-errors.ts'

const MINUTE_MS = 60_000
/** Kinds of errors that are remembered; there are far fewer. */
const MAX_KINDS = 100
/** Replies that are part of normal work: a script that is not cached, a slot that moves, a batch that was overtaken. */
const EXPECTED = /^(NOSCRIPT|MOVED|ASK|TRYAGAIN|STALE)\b/

interface Failure {
  /** Name of the command; `eval` is a script. */
  command: string
  /** The family of the keys or channels, such as `muster:session`. */
  keys: string
  cause: string
}

/**
 * Logs the errors of single commands on keys of the service while Redis is up, each kind once a minute. Requests that need such
 * a command get 503, and without this line no log says why. An error that may mean that the whole server is unusable waits for
 * the next probe: if Redis is away, the log says that instead.
 */
export class CommandErrors {
  readonly #log: Logger
  readonly #timeoutMs: number
  readonly #prefix: string
  /** Failures that wait for the next probe. */
  readonly #unconfirmed: Failure[] = []
  /** By kind: when it was last logged, in ms of `performance.now()`, and the number of failures since. */
  readonly #kinds = new Map<string, { loggedAt: number; failures: number }>()

  constructor(log: Logger, timeoutMs: number, prefix: string) {
    this.#log = log
    this.#timeoutMs = timeoutMs
    this.#prefix = prefix
  }

  /** Records a command that failed. Commands on keys with other prefixes belong to the routes of the app, and are ignored. */
  record(command: Command, error: Error): void {
    if (EXPECTED.test(error.message) || isUnsent(error)) return
    const key = command.args.flat().find((argument) => this.#isOurs(argument)) as string | undefined
    if (key === undefined) return
    const failure = {
      command: command.name.replace('evalsha', 'eval'),
      keys: this.#familyOf(key),
      cause: describeError(error, this.#timeoutMs)
    }
    if (!isServerError(error)) this.#logOnce(failure)
    else if (this.#unconfirmed.length < MAX_KINDS) this.#unconfirmed.push(failure)
  }

  /** A probe has succeeded: the commands failed for reasons of their own, and are logged. */
  confirm(): void {
    for (const failure of this.#unconfirmed.splice(0)) this.#logOnce(failure)
  }

  /** A probe has failed: the commands failed because Redis is away, and are not logged. */
  discard(): void {
    this.#unconfirmed.length = 0
  }

  #isOurs(argument: unknown): boolean {
    return (
      typeof argument === 'string' && (argument.startsWith(this.#prefix) || argument.startsWith(`{${this.#prefix}`))
    )
  }

  #familyOf(key: string): string {
    const name = key.slice(key.indexOf(this.#prefix) + this.#prefix.length)
    return this.#prefix + name.split(/[:}@]/, 1)[0]
  }

  #logOnce(failure: Failure): void {
    const kind = `${failure.command} ${failure.keys} ${failure.cause.split(' ', 1)[0]}`
    const known = this.#kinds.get(kind) ?? { loggedAt: Number.NEGATIVE_INFINITY, failures: 0 }
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.clear()
    this.#kinds.set(kind, known)
    known.failures++
    const now = performance.now()
    if (now - known.loggedAt < MINUTE_MS) return
    this.#log.warn({ ...failure, failures: known.failures }, 'Redis command failed')
    known.loggedAt = now
    known.failures = 0
  }
}
