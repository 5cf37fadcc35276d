import { constants, fstatSync, openSync, writeSync } from 'node:fs'

const STDOUT = 1
/** PIPE_BUF of pipe(7) on Linux: a write of at most this many bytes is never mixed with writes of other processes. */
const ATOMIC_WRITE_BYTES = 4096
/** How much waits in memory while standard output is not read, in characters; further lines are dropped. */
const MAX_WAITING_LENGTH = 1024 * 1024
const RETRY_MS = 5
/** How long an exiting process waits for its last lines to be read, in ms. */
const EXIT_TIMEOUT_MS = 500

/**
 * Writes lines to standard output without ever waiting for its reader. Lines that cannot be written at once wait in memory up
 * to a limit; further ones are dropped and counted. Each write has whole lines, and is small enough not to be mixed with
 * writes of other processes to the same pipe. The lines that are left are written when the process exits, crashed or not.
 */
export class LogOutput {
  /** The number of lines dropped since the start. */
  dropped = 0
  /** Called with the number of dropped lines when lines can be written again. */
  onDropped: ((lines: number) => void) | undefined
  readonly #fd: number
  #waiting: string[] = []
  #waitingLength = 0
  /** The part of the last write that was not taken. */
  #rest: Buffer | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #batchTimer: NodeJS.Immediate | undefined
  #isBatching = false
  #unreported = 0

  constructor(fd = openNonBlocking()) {
    this.#fd = fd
    process.on('exit', () => this.flushSync())
  }

  /** Writes the lines that `log` writes at the end of this turn of the event loop: one write for many lines. */
  batch(log: () => void): void {
    this.#isBatching = true
    try {
      log()
    } finally {
      this.#isBatching = false
    }
  }

  /** @param line ends with a line break */
  write(line: string): void {
    if (this.#waitingLength + line.length > MAX_WAITING_LENGTH) {
      this.dropped++
      this.#unreported++
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    if (this.#retryTimer) return
    if (this.#isBatching && this.#waitingLength < ATOMIC_WRITE_BYTES)
      this.#batchTimer ??= setImmediate(() => this.#flush())
    else this.#flush()
  }

  /** Writes all lines. Blocks until they are read, for {@link EXIT_TIMEOUT_MS} at most. */
  flushSync(): void {
    for (const end = performance.now() + EXIT_TIMEOUT_MS; !this.#flush() && performance.now() < end; ) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }

  /** @returns true when nothing is left to write */
  #flush(): boolean {
    clearImmediate(this.#batchTimer)
    this.#batchTimer = undefined
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    while (this.#rest || this.#waiting.length > 0) {
      const chunk = this.#rest ?? this.#takeChunk()
      const written = this.#writeChunk(chunk)
      const length = Buffer.byteLength(chunk)
      this.#rest = written < length ? Buffer.from(chunk).subarray(written) : undefined
      if (!this.#rest) continue
      this.#retryTimer = setTimeout(() => this.#flush(), RETRY_MS).unref()
      return false
    }
    const unreported = this.#unreported
    this.#unreported = 0
    if (unreported > 0) this.onDropped?.(unreported)
    return true
  }

  /** Takes as many waiting lines as one atomic write may have, or a single line that is longer. */
  #takeChunk(): string {
    let chunk = this.#waiting[0]!
    let bytes = Buffer.byteLength(chunk)
    let count = 1
    for (; count < this.#waiting.length; count++) {
      const line = this.#waiting[count]!
      bytes += Buffer.byteLength(line)
      if (bytes > ATOMIC_WRITE_BYTES) break
      chunk += line
    }
    this.#waiting.splice(0, count)
    this.#waitingLength -= chunk.length
    return chunk
  }

  /** @returns the number of bytes that were taken */
  #writeChunk(chunk: string | Buffer): number {
    try {
      return typeof chunk === 'string' ? writeSync(this.#fd, chunk) : writeSync(this.#fd, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0
      // The reader is gone, or the disk is full. There is no other place to report it.
      this.dropped += String(chunk).split('\n').length - 1
      return Buffer.byteLength(chunk)
    }
  }
}

/**
 * Opens a pipe on standard output again, in non-blocking mode. The mode of the inherited descriptor is shared with the
 * primary, the other workers and the process that started them, and Node resets it when any of them exits. Where a pipe cannot
 * be opened (it belongs to another user) and for a socket, Node sets the mode as it creates `process.stdout`. Writes to a file
 * never block.
 */
function openNonBlocking(): number {
  const kind = fstatSync(STDOUT)
  if (kind.isFIFO()) {
    try {
      return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK)
    } catch {}
  }
  if (kind.isFIFO() || kind.isSocket()) void process.stdout
  return STDOUT
}
