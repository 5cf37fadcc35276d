import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { SimHandle } from '../machine/sim-network.ts'

/** A socket of node:net, as far as HTTP uses one, over a simulated descriptor. */
class SimSocket extends Duplex {
  /** As in net.Socket; private code of the service takes it. */
  _handle: SimHandle | null
  server: unknown = null
  readonly remoteAddress: string
  readonly remotePort = 40_000
  readonly remoteFamily = 'IPv4'
  readonly connecting = false
  #timeoutMs = 0
  #timer: NodeJS.Timeout | undefined
  #bytesRead = 0
  #hasEnded = false

  constructor(handle: SimHandle) {
    super({ allowHalfOpen: true, decodeStrings: true })
    this._handle = handle
    this.remoteAddress = handle.connection.address
    handle.reader = {
      onData: (chunk) => {
        this.#refresh()
        if (this.push(chunk)) return
        handle.reading = false
        handle.readStop()
      },
      onEnd: () => {
        if (this.#hasEnded) return
        this.#hasEnded = true
        this.push(null)
        this.read(0)
      },
      onReset: () => this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
    }
    this.read(0)
  }

  get bytesRead(): number {
    return this._handle ? this._handle.bytesRead : this.#bytesRead
  }

  get bytesWritten(): number {
    return this._handle?.bytesWritten ?? 0
  }

  override _read(): void {
    if (!this._handle || this._handle.reading) return
    this._handle.reading = true
    this._handle.readStart()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#refresh()
    if (this._handle) this._handle.write(chunk, done)
    else done(Object.assign(new Error('This socket has been ended'), { code: 'ERR_SOCKET_CLOSED' }))
  }

  override _final(done: () => void): void {
    if (this._handle) this._handle.shutdown(done)
    else done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer)
    if (this._handle) {
      this.#bytesRead = this._handle.bytesRead
      this._handle.close()
      this._handle = null
    }
    done(error)
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  setTimeout(ms: number, listener?: () => void): this {
    this.#timeoutMs = ms
    this.#refresh()
    if (listener) this.once('timeout', listener)
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  #refresh(): void {
    clearTimeout(this.#timer)
    if (this.#timeoutMs > 0) this.#timer = setTimeout(() => this.emit('timeout'), this.#timeoutMs)
  }
}

export const simSocketOf = (handle: object): Socket => new SimSocket(handle as SimHandle) as unknown as Socket
