import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Logger } from 'pino'
import { type ConnectionHandle, handleOf, takeHandle } from '../../node-internals/tcp-handle.ts'

/** `1234:M 21 Nov 2026 03:22:11.123 * text`; the sign is the level: `.` debug, `-` verbose, `*` notice, `#` warning. */
const LOG_LINE = /^\d+:\w \d+ \w+ \d+ [\d:.]+ ([-.*#]) (.*)$/
/** Redis up to 7.0 logs these at the level of a warning at every start and stop. */
const CHATTER =
  /^(oO0|\S+ version=|Configuration loaded|Server initialized|Received SIG|User requested|.* bye bye|WARNING Memory overcommit)/
const MAX_TAIL = 8

/** What a server writes, as lines of the log. Its two pipes can be passed to another process, which reads on. */
export class ServerOutput {
  /** The last lines, for error messages. */
  readonly tail: string[] = []
  readonly #pipes: readonly Socket[]
  readonly #log: Logger

  constructor(pipes: readonly Socket[], log: Logger) {
    this.#pipes = pipes
    this.#log = log
    for (const input of pipes) {
      createInterface({ input }).on('line', (line) => this.#forward(line))
      // A pipe that came from another process stays open otherwise.
      input.once('end', () => input.destroy())
    }
  }

  /** The pipes, of which this process keeps a copy. A process that gets them must not read before this one has stopped. */
  get handles(): ConnectionHandle[] {
    return this.#pipes.flatMap((pipe) => handleOf(pipe) ?? [])
  }

  /** Stops reading. @returns the pipes */
  take(): ConnectionHandle[] {
    return this.#pipes.flatMap((pipe) => takeHandle(pipe) ?? [])
  }

  #forward(line: string): void {
    const [, sign, text = line] = LOG_LINE.exec(line) ?? []
    if (sign === '#' && !CHATTER.test(text)) this.#log.warn(`redis: ${text}`)
    else this.#log.debug(`redis: ${text}`)
    this.tail.push(text)
    if (this.tail.length > MAX_TAIL) this.tail.shift()
  }
}
