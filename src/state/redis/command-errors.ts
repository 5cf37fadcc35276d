import type { Command } from 'ioredis'
import type { Logger } from '../../common/log.ts'
import { describe, isOfServer, isUnsent } from './redis-errors.ts'

const MINUTE_MS = 60_000
/** Kinds of errors that are remembered; there are far fewer. */
const MAX_KINDS = 100
/** Replies that are part of normal work: a script that is not cached, a slot that moves, a batch that was overtaken. */
const EXPECTED = /^(NOSCRIPT|MOVED|ASK|TRYAGAIN|STALE)\b/

interface Failure {
  /** Name of the command; `eval` is a script. */
  command: string
  /** The family of keys or channels that it was about, such as `muster:session`. */
  keys: string
  cause: string
}

/**
 * Logs the errors of single commands on the keys of the service while Redis is up, each kind once a minute. Requests that
 * need such a command get 503, and without this line nothing says why. Errors that speak of the server wait for the next
 * probe: when Redis is away, the log says that instead.
 */
export class CommandErrors {
  readonly #log: Logger
  readonly #timeoutMs: number
  readonly #prefix: string
  /** What waits for a probe. */
  readonly #suspected: Failure[] = []
  /** By kind: when it was last logged, in ms of `performance.now()`, and how often it has failed since. */
  readonly #kinds = new Map<string, { loggedAt: number; failures: number }>()

  constructor(log: Logger, timeoutMs: number, prefix: string) {
    this.#log = log
    this.#timeoutMs = timeoutMs
    this.#prefix = prefix
  }

  /** Takes note of a command that failed. Commands on keys of other prefixes belong to the user's routes, and are left out. */
  note(command: Command, error: Error): void {
    if (EXPECTED.test(error.message) || isUnsent(error)) return
    const key = command.args.flat().find((arg) => this.#isOurs(arg)) as string | undefined
    if (key === undefined) return
    const keys = this.#prefix + key.slice(key.indexOf(this.#prefix) + this.#prefix.length).split(/[:}@]/, 1)[0]
    const failure = { command: command.name.replace('evalsha', 'eval'), keys, cause: describe(error, this.#timeoutMs) }
    if (!isOfServer(error)) this.#logOnce(failure)
    else if (this.#suspected.length < MAX_KINDS) this.#suspected.push(failure)
  }

  /** Redis is up: what failed had reasons of its own. */
  confirm(): void {
    for (const failure of this.#suspected.splice(0)) this.#logOnce(failure)
  }

  /** Redis is away: that is why they failed. */
  discard(): void {
    this.#suspected.length = 0
  }

  #isOurs(arg: unknown): boolean {
    return typeof arg === 'string' && (arg.startsWith(this.#prefix) || arg.startsWith(`{${this.#prefix}`))
  }

  #logOnce(failure: Failure): void {
    const kind = `${failure.command} ${failure.keys} ${failure.cause.split(' ', 1)[0]}`
    const known = this.#kinds.get(kind) ?? { loggedAt: Number.NEGATIVE_INFINITY, failures: 0 }
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.clear()
    this.#kinds.set(kind, known)
    known.failures++
    const now = performance.now()
    if (now - known.loggedAt < MINUTE_MS) return
    this.#log.warn({ ...failure, failures: known.failures }, 'a Redis command failed')
    known.loggedAt = now
    known.failures = 0
  }
}
