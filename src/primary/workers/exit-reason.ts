/** How a process ended that nobody here had told to. */
export interface ExitReason {
  /** For the log, at most some 200 characters. */
  cause: string
  reason: 'crash' | 'oom'
}

const LONGEST = 200
/** What V8 ends a process with when its heap is full: abort(), or on some platforms a trap; 128 more through a shell. */
const ABORTS = new Set<number | string | null>(['SIGABRT', 'SIGTRAP', 'SIGILL', 134, 133, 132, 5])
const OUT_OF_MEMORY = /^(?:FATAL ERROR: |# )?(.*(?:heap out of memory|Reached heap limit|process out of memory).*)$/m
/** Node shows the line of the source, carets below it, sometimes an empty line, and then the error. */
const UNCAUGHT = /^[ \t]*\^+[ \t]*\n\s*(\S.*)$/gm
const FATAL = /^.*(?:FATAL ERROR: |Assertion .*failed).*$/m
const REJECTED_WITH = /^UnhandledPromiseRejection: .* reason "(.*)"\.$/

/**
 * Names a death. Pure.
 * @param signal null when it exited, and the code when it did not; as node's `exit` event has them
 * @param stderrTail the last that it wrote to its standard error
 */
export function classifyExit(code: number | null, signal: string | null, stderrTail: string): ExitReason {
  const end = signal ?? `exit code ${code}`
  const full = ABORTS.has(signal ?? code) && OUT_OF_MEMORY.exec(stderrTail)?.[1]
  if (full) return { cause: bounded(`${end}: out of memory: ${full}`), reason: 'oom' }
  if (signal === 'SIGKILL') {
    const cause = "SIGKILL, not sent by this primary: the kernel's out-of-memory killer, or somebody's kill -9"
    return { cause, reason: 'crash' }
  }
  const error = [...stderrTail.matchAll(UNCAUGHT)].at(-1)?.[1] ?? FATAL.exec(stderrTail)?.[0]
  const words = error?.replace(REJECTED_WITH, 'unhandled rejection: $1')
  return { cause: bounded(words === undefined || code === 0 ? end : `${end}: ${words}`), reason: 'crash' }
}

const bounded = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text)
