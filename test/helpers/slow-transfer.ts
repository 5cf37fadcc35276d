import type { TestContext } from 'node:test'
import { cleanup } from './cleanup.ts'
import { type Answer, Connection, head } from './http.ts'

const EVERY_MS = 50
const LENGTH = 1_000_000
const BODY = { 'content-type': 'application/octet-stream', 'content-length': String(LENGTH) }

/** An upload that sends a byte now and then until it is told to complete. */
export class SlowUpload {
  readonly connection: Connection
  readonly answer: Promise<Answer>
  readonly #timer: NodeJS.Timeout
  #sent = 0

  constructor(t: TestContext, connection: Connection, path = '/upload') {
    this.connection = connection
    connection.socket.write(head('POST', path, BODY))
    this.answer = connection.expect()
    this.answer.catch(() => {}).finally(() => clearInterval(this.#timer))
    this.#timer = setInterval(() => this.#send(1), EVERY_MS)
    cleanup(t, () => this.stop())
  }

  static async begin(t: TestContext, port: number): Promise<SlowUpload> {
    return new SlowUpload(t, await Connection.open(port))
  }

  /** Resolves after so much time, in which bytes were sent. */
  async lasts(ms: number): Promise<void> {
    const end = this.#sent + ms / EVERY_MS
    while (this.#sent < end) await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }

  /** Sends the rest. @returns the answer, as JSON */
  async complete(): Promise<{ bytes: number; pid: number; generation: number }> {
    clearInterval(this.#timer)
    this.#send(LENGTH - this.#sent)
    return JSON.parse((await this.answer).body)
  }

  /** Sends nothing any more. */
  stall(): void {
    clearInterval(this.#timer)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.connection.close()
  }

  #send(bytes: number): void {
    this.#sent += bytes
    if (!this.connection.socket.destroyed) this.connection.socket.write('x'.repeat(bytes))
  }
}

/** An answer that never ends. */
export class EndlessAnswer {
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>
  bytes = 0
  isOpen = true
  readonly #connection: Connection

  constructor(t: TestContext, connection: Connection, path: string) {
    this.#connection = connection
    connection.socket.on('data', (chunk) => {
      this.bytes += chunk.length
    })
    this.closed = new Promise((resolve) => connection.socket.once('close', resolve)).then(() => {
      this.isOpen = false
    })
    connection.socket.write(head('GET', path))
    cleanup(t, () => connection.close())
  }

  /** Closes the connection. */
  stop(): void {
    this.#connection.close()
  }

  static async begin(t: TestContext, port: number, path: string): Promise<EndlessAnswer> {
    const answer = new EndlessAnswer(t, await Connection.open(port), path)
    while (answer.bytes === 0) await new Promise((resolve) => answer.#connection.socket.once('data', resolve))
    return answer
  }
}
