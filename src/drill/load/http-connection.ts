import { connect, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import type { Failure } from '../observations.ts'
import { type Answer, parseAnswer } from './parse-answer.ts'

/** Where a service listens. */
export interface Address {
  host: string
  port: number
  /** The path of a Unix socket, in place of host and port. */
  path?: string
  isSecure: boolean
}

/** A request got no complete answer. */
export class NoAnswer extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure)
    this.failure = failure
  }
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: NoAnswer): void
  timer: NodeJS.Timeout
}

/** One connection of an HTTP/1.1 client that never retries, so that its failures are those of the service. */
export class HttpConnection {
  readonly #socket: Socket
  readonly #timeoutMs: number
  #text = ''
  #waiting: Waiting[] = []
  #ended = false
  /** Whether the service closed the connection, or said that it will, while no request was unanswered. */
  wasClosedIdle = false

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    socket.setNoDelay(true).setEncoding('latin1')
    socket.on('data', (text: string) => this.#received(text))
    socket.on('error', () => this.#end('cut'))
    socket.on('end', () => this.#received('', true))
    socket.on('close', () => this.#end('cut'))
  }

  /** @param timeoutMs for the connection, and for each answer @throws NoAnswer */
  static open(address: Address, timeoutMs: number): Promise<HttpConnection> {
    const { host, port, path, isSecure } = address
    const to = path === undefined ? { host, port } : { path }
    return new Promise((resolve, reject) => {
      // The certificate names the host that clients see, which is another one than loopback.
      const socket = isSecure ? connectSecurely({ ...to, rejectUnauthorized: false }) : connect(to)
      const fail = () => {
        clearTimeout(timer)
        socket.destroy()
        reject(new NoAnswer('refused'))
      }
      const timer = setTimeout(fail, timeoutMs)
      socket.once('error', fail)
      socket.once(isSecure ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer)
        socket.off('error', fail)
        resolve(new HttpConnection(socket, timeoutMs))
      })
    })
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Sends a request, or the beginning of one. */
  write(text: string): void {
    if (!this.#ended) this.#socket.write(text)
  }

  /** Waits for the next answer, in the order of the requests. @throws NoAnswer */
  answer(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new NoAnswer('cut'))
      const timer = setTimeout(() => this.#end('late'), this.#timeoutMs)
      this.#waiting.push({ resolve, reject, timer })
    })
  }

  /** @throws NoAnswer */
  request(text: string): Promise<Answer> {
    const answer = this.answer()
    this.write(text)
    return answer
  }

  close(): void {
    this.#ended = true
    for (const { timer } of this.#waiting) clearTimeout(timer)
    this.#socket.destroy()
  }

  #received(text: string, atEnd = false): void {
    this.#text += text
    while (this.#waiting.length > 0) {
      const parsed = parseAnswer(this.#text, atEnd)
      if (!parsed) break
      this.#text = this.#text.slice(parsed.end)
      const { resolve, timer } = this.#waiting.shift()!
      clearTimeout(timer)
      // The reader of the answer must find the connection ended already.
      if (parsed.answer.headers.connection === 'close') this.#end('cut')
      resolve(parsed.answer)
    }
    if (atEnd) this.#end('cut')
  }

  #end(failure: Failure): void {
    if (this.#ended) return
    this.#ended = true
    this.wasClosedIdle = this.#waiting.length === 0
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer)
      reject(new NoAnswer(failure))
    }
    this.#socket.destroy()
  }
}
