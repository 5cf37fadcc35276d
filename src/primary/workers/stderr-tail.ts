import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

const TAIL_BYTES = 8 * 1024
/** One read of node's: where it is full, there is more. One that writes without end is slowed down, not this process. */
const FULL_BYTES = 64 * 1024
const PAUSE_MS = 5
/** A longer line becomes several, in characters: a line of the log that has more than 4 KiB may be mixed with others. */
const MAX_LINE = 2000
/** Matches no text. */
const NOTHING = /(?!)/

/** Where standard error goes. */
export interface Sink {
  write(chunk: Buffer): unknown
  /** No more will come. */
  flush?(): void
}

/** Calls `onLine` for each line of a stream, without its end. Empty lines are left out, long ones become several. */
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
    for (const line of lines) this.#tell(line.replace(/\r$/, ''))
    if (this.#rest.length < MAX_LINE) return
    this.#tell(this.#rest)
    this.#rest = ''
  }

  flush(): void {
    this.#tell(this.#rest + this.#decoder.end())
    this.#rest = ''
  }

  #tell(line: string): void {
    for (let at = 0; at < line.length; at += MAX_LINE) this.#onLine(line.slice(at, at + MAX_LINE))
  }
}

/**
 * A worker's standard error: passed on, and its end kept, where a process says why it dies. It is read
 * whatever happens to `out`: a worker whose standard error nobody reads blocks in the middle of a write.
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

  /** Passes on a last line that has no end. */
  flush(): void {
    this.#out.flush?.()
  }

  /** The last 8 KiB that came. */
  tail(): string {
    return this.#tail.toString()
  }

  /** Looks for the pattern in the tail, now and whenever more comes. Undefined at the deadline, or when no more will come. */
  waitFor(pattern: RegExp, deadlineMs: number): Promise<RegExpExecArray | undefined> {
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
      const timer = setTimeout(settle, deadlineMs)
      this.#stream.on('data', look).on('close', look)
      look()
    })
  }

  /**
   * The tail when the stream has ended: a process' exit is often heard of before its last words. At the latest after
   * `deadlineMs`, since a process that it started may hold the stream open.
   */
  async lastOutput(deadlineMs = 200): Promise<string> {
    await this.waitFor(NOTHING, deadlineMs)
    return this.tail()
  }
}
