import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

const TAIL_BYTES = 8 * 1024
/** Size of one read of Node. After a full read there is a pause, so that a worker that writes without end is slowed down. */
const FULL_BYTES = 64 * 1024
const PAUSE_MS = 5
/** In characters. A longer line is split, since log lines of more than 4 KiB may be mixed with lines of other processes. */
const MAX_LINE = 2000
/** Matches no text. */
const NOTHING = /(?!)/

/** A destination of standard error. */
export interface Sink {
  write(chunk: Buffer): unknown
  /** Called at the end of the stream. */
  flush?(): void
}

/** Calls `onLine` for each line of a stream. Empty lines are skipped, long ones are split. */
export class LineSink implements Sink {
  readonly #onLine: (line: string) => void
  readonly #decoder = new StringDecoder()
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  write(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#emitLine(line.replace(/\r$/, ''))
    if (this.#rest.length < MAX_LINE) return
    this.#emitLine(this.#rest)
    this.#rest = ''
  }

  flush(): void {
    this.#emitLine(this.#rest + this.#decoder.end())
    this.#rest = ''
  }

  #emitLine(line: string): void {
    for (let at = 0; at < line.length; at += MAX_LINE) this.#onLine(line.slice(at, at + MAX_LINE))
  }
}

/**
 * Passes on a worker's standard error and keeps its end, which says why a process died. It reads on whatever happens to `out`:
 * a worker whose standard error is not read blocks in a write.
 */
export class StderrTail {
  readonly #stream: Readable
  readonly #out: Sink
  #tail: Buffer = Buffer.alloc(0)

  constructor(stream: Readable, out: Sink) {
    this.#stream = stream
    this.#out = out
    stream.on('data', (chunk: Buffer) => {
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES)
      out.write(chunk)
      if (chunk.length < FULL_BYTES) return
      stream.pause()
      setTimeout(() => stream.resume(), PAUSE_MS).unref()
    })
    stream.once('close', () => this.flush())
    stream.on('error', () => {}) // Its end, 'close', follows.
  }

  /** Passes on the last line if it has no line end. */
  flush(): void {
    this.#out.flush?.()
  }

  /** Returns the last 8 KiB. */
  tail(): string {
    return this.#tail.toString()
  }

  /** Waits until the tail matches. @returns undefined after `timeoutMs`, or when the stream has ended */
  waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray | undefined> {
    return new Promise((resolve) => {
      const look = () => {
        const found = pattern.exec(this.tail()) ?? undefined
        if (found || this.#stream.closed) settle(found)
      }
      const settle = (found?: RegExpExecArray) => {
        clearTimeout(timer)
        this.#stream.off('data', look).off('close', look)
        resolve(found)
      }
      const timer = setTimeout(settle, timeoutMs)
      this.#stream.on('data', look).on('close', look)
      look()
    })
  }

  /**
   * Returns the tail at the end of the stream, which often comes after the exit of the process. Waits for at most `timeoutMs`,
   * since a child of the process may keep the stream open.
   */
  async lastOutput(timeoutMs = 200): Promise<string> {
    await this.waitFor(NOTHING, timeoutMs)
    return this.tail()
  }
}
