import { constants, fstatSync, openSync, writeSync } from 'node:fs'

const STDOUT = 1
/** pipe(7), PIPE_BUF on Linux: so many bytes go whole or not at all, however many processes write to the pipe. */
const WHOLE_BYTES = 4096
/** What waits while nobody reads; what is beyond is dropped. In characters. */
const MAX_WAITING = 1024 * 1024
const RETRY_MS = 5
/** A process that exits waits so long for its last lines to be read. */
const EXIT_MS = 500

/**
 * Standard output for lines, which never waits for who reads it: what does not go at once waits in memory, up to a limit,
 * and beyond that is dropped and counted. Each write holds whole lines, and is small enough not to be mixed with what
 * other processes write to the same pipe. Whatever is left goes when the process exits, crashed or not.
 */
export class Stdout {
  /** Lines that were dropped, since the start. */
  dropped = 0
  /** Called when lines go again after some were dropped, with how many. */
  onDropped: ((lines: number) => void) | undefined
  readonly #fd: number
  #waiting: string[] = []
  #waitingLength = 0
  /** What the last write did not take, or took only a part of. */
  #rest: Buffer | undefined
  #retry: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  #holding = false
  #untold = 0

  constructor(fd = openWithoutWaiting()) {
    this.#fd = fd
    process.on('exit', () => this.flushSync())
  }

  /** Lines that are written within `log` go together at the end of this turn of the event loop: one write for many. */
  hold(log: () => void): void {
    this.#holding = true
    try {
      log()
    } finally {
      this.#holding = false
    }
  }

  /** @param line with its end */
  write(line: string): void {
    if (this.#waitingLength + line.length > MAX_WAITING) {
      this.dropped++
      this.#untold++
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    if (this.#retry) return
    if (this.#holding && this.#waitingLength < WHOLE_BYTES) this.#turn ??= setImmediate(() => this.#flush())
    else this.#flush()
  }

  /** Writes all there is. Waits for who reads it, but not for long. */
  flushSync(): void {
    for (const end = performance.now() + EXIT_MS; !this.#flush() && performance.now() < end; ) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }

  /** @returns whether nothing is left */
  #flush(): boolean {
    clearImmediate(this.#turn)
    this.#turn = undefined
    clearTimeout(this.#retry)
    this.#retry = undefined
    while (this.#rest || this.#waiting.length > 0) {
      const chunk = this.#rest ?? this.#next()
      const written = this.#put(chunk)
      const length = Buffer.byteLength(chunk)
      this.#rest = written < length ? Buffer.from(chunk).subarray(written) : undefined
      if (!this.#rest) continue
      this.#retry = setTimeout(() => this.#flush(), RETRY_MS).unref()
      return false
    }
    const untold = this.#untold
    this.#untold = 0
    if (untold > 0) this.onDropped?.(untold)
    return true
  }

  /** As many lines as go whole, or one that is longer. */
  #next(): string {
    let chunk = this.#waiting[0]!
    let bytes = Buffer.byteLength(chunk)
    let count = 1
    for (; count < this.#waiting.length; count++) {
      const line = this.#waiting[count]!
      bytes += Buffer.byteLength(line)
      if (bytes > WHOLE_BYTES) break
      chunk += line
    }
    this.#waiting.splice(0, count)
    this.#waitingLength -= chunk.length
    return chunk
  }

  /** @returns how many bytes were taken */
  #put(chunk: string | Buffer): number {
    try {
      return typeof chunk === 'string' ? writeSync(this.#fd, chunk) : writeSync(this.#fd, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0
      // Nobody reads it any more, or the disk is full: there is no other place to say so.
      this.dropped += String(chunk).split('\n').length - 1
      return Buffer.byteLength(chunk)
    }
  }
}

/**
 * A pipe is opened once more, since whether a write waits is a property of what was opened, which is shared with the
 * primary, the other workers and whoever started them, and node changes it at each one's exit. What cannot be opened
 * (a socket, somebody else's pipe) is made so by node itself as it makes `process.stdout`. A file never waits.
 */
function openWithoutWaiting(): number {
  const kind = fstatSync(STDOUT)
  if (kind.isFIFO()) {
    try {
      return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK)
    } catch {}
  }
  if (kind.isFIFO() || kind.isSocket()) void process.stdout
  return STDOUT
}
