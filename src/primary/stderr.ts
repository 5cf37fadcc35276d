import type { Readable, Writable } from 'node:stream'

const TAIL_BYTES = 8 * 1024
/** One read of node's: where it is full, there is more. One that writes without end is slowed down, not this process. */
const FULL_BYTES = 64 * 1024
const PAUSE_MS = 5
/** Matches no text. */
const NOTHING = /(?!)/

/**
 * A worker's standard error: passed on unchanged, and its end kept, where a process says why it dies. It is read
 * whatever happens to `out`: a worker whose standard error nobody reads blocks in the middle of a write.
 */
export class Stderr {
  readonly #stream: Readable
  #tail: Buffer = Buffer.alloc(0)

  constructor(stream: Readable, out: Writable = process.stderr) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => {
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES)
      out.write(chunk)
      if (chunk.length < FULL_BYTES) return
      stream.pause()
      setTimeout(() => stream.resume(), PAUSE_MS).unref()
    })
    stream.on('error', () => {}) // Its end, 'close', follows.
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
  async lastWords(deadlineMs = 200): Promise<string> {
    await this.waitFor(NOTHING, deadlineMs)
    return this.tail()
  }
}
