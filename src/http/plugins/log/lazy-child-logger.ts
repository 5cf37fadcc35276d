import type { FastifyBaseLogger } from 'fastify'
import type { Bindings, ChildLoggerOptions, Logger } from 'pino'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** What a request's logger has of pino's. */
export type RequestLogger = Pick<Logger, (typeof LEVELS)[number] | 'level' | 'isLevelEnabled' | 'bindings' | 'child'>

/** A child of pino's that is made when it is first used: most requests have nothing to say, and to make one costs 1 µs. */
class LazyChildLogger {
  readonly #parent: Logger
  readonly #bindings: Bindings
  readonly #options: ChildLoggerOptions | undefined
  #made: Logger | undefined

  constructor(parent: Logger, bindings: Bindings, options: ChildLoggerOptions | undefined) {
    this.#parent = parent
    this.#bindings = bindings
    this.#options = options
  }

  get made(): Logger {
    return (this.#made ??= this.#parent.child(this.#bindings, this.#options))
  }

  get level(): string {
    return this.made.level
  }

  set level(level: string) {
    this.made.level = level
  }

  isLevelEnabled(level: string): boolean {
    // A level of its own is the only thing that could make a difference.
    return (this.#options?.level ? this.made : (this.#made ?? this.#parent)).isLevelEnabled(level)
  }

  bindings(): Bindings {
    return this.made.bindings()
  }

  /** Fastify's own logger is a child of the one that it is given, and that of a request a child of it. */
  child(bindings: Bindings, options?: ChildLoggerOptions): LazyChildLogger {
    return new LazyChildLogger(this.made, bindings, options)
  }
}
for (const level of LEVELS) {
  Object.defineProperty(LazyChildLogger.prototype, level, {
    value(this: LazyChildLogger, ...args: Parameters<Logger['info']>) {
      this.made[level](...args)
    }
  })
}

/** The same logger, but children of it are made when they are first used: Fastify asks for one with each request. */
export const withLazyChildren = (log: Logger): FastifyBaseLogger =>
  Object.create(log, {
    child: { value: (bindings: Bindings, options?: ChildLoggerOptions) => new LazyChildLogger(log, bindings, options) }
  })
