/** Why a process ended that this primary had not told to end. */
export interface ExitReason {
  /** For the log, at most 200 characters. */
  cause: string
  reason: 'crash' | 'oom'
}

const MAX_LENGTH = 200
/** Signals and exit codes with which V8 ends a process whose heap is full: abort(), on some platforms a trap; plus 128 through a shell. */
const ABORTS = new Set<number | string | null>(['SIGABRT', 'SIGTRAP', 'SIGILL', 134, 133, 132, 5])
const OUT_OF_MEMORY = /^(?:FATAL ERROR: |# )?(.*(?:heap out of memory|Reached heap limit|process out of memory).*)$/m
/** Node prints the line of the source, carets below it, sometimes an empty line, and then the error. */
const UNCAUGHT = /^[ \t]*\^+[ \t]*\n\s*(\S.*)$/gm
const FATAL = /^.*(?:FATAL ERROR: |Assertion .*failed).*$/m
const REJECTED_WITH = /^UnhandledPromiseRejection: .* reason "(.*)"\.$/

/**
 * Explains an exit. Pure.
 * @param code @param signal as in Node's `exit` event: exactly one of them is null
 * @param stderrTail the end of its standard error
 */
export function classifyExit(code: number | null, signal: string | null, stderrTail: string): ExitReason {
  const end = signal ?? `exit code ${code}`
  const outOfMemory = ABORTS.has(signal ?? code) && OUT_OF_MEMORY.exec(stderrTail)?.[1]
  if (outOfMemory) return { cause: bounded(`${end}: out of memory: ${outOfMemory}`), reason: 'oom' }
  if (signal === 'SIGKILL') {
    const cause = "SIGKILL, not sent by this primary: the kernel's out-of-memory killer, or a kill -9"
    return { cause, reason: 'crash' }
  }
  const error = [...stderrTail.matchAll(UNCAUGHT)].at(-1)?.[1] ?? FATAL.exec(stderrTail)?.[0]
  const message = error?.replace(REJECTED_WITH, 'unhandled rejection: $1')
  return { cause: bounded(message === undefined || code === 0 ? end : `${end}: ${message}`), reason: 'crash' }
}

const bounded = (text: string) => (text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text)
