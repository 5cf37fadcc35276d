import { connect, createServer, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls'

export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** Why a request got no answer. */
export class NoAnswer extends Error {}

const DEADLINE_MS = 120_000

/** One connection of an HTTP/1.1 client that never retries: what happens to it is what happened. */
export class Connection {
  readonly socket: Socket
  #text = ''
  #answers = 0
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void; timer: NodeJS.Timeout }[] = []
  #ended: string | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#received(text))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      this.#end(`${error.code ?? error.message}${this.#answers === 0 ? ' before the first answer' : ''}`)
    )
    socket.on('end', () => this.#end('the server ended the connection'))
    socket.on('close', () => this.#end('closed'))
  }

  /**
   * @param from the client's address; on Linux any of 127.0.0.0/8 is there
   * @param tls over TLS, with these options
   */
  static open(port: number, from?: string, tls?: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const to = { port, host: '127.0.0.1', ...(from !== undefined && { localAddress: from }) }
      const socket = tls ? connectSecurely({ ...to, ...tls }) : connect(to)
      const fail = (error: NodeJS.ErrnoException) => reject(new NoAnswer(`connect: ${error.code}`))
      socket.once('error', fail)
      socket.once(tls ? 'secureConnect' : 'connect', () => {
        socket.off('error', fail)
        resolve(new Connection(socket))
      })
    })
  }

  /** The server has closed it, or said that it will. */
  get ended(): boolean {
    return this.#ended !== undefined
  }

  /** The local port: the same one means the very same connection. */
  get localPort(): number {
    return this.socket.localPort ?? 0
  }

  request(method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = this.expect()
    this.socket.write(head(method, path, headers))
    return answer
  }

  /** Waits for the next answer, in the order of the requests. */
  expect(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(new NoAnswer(this.#ended))
      const timer = setTimeout(() => this.#end(`no answer in ${DEADLINE_MS} ms`), DEADLINE_MS)
      this.#waiting.push({ resolve, reject, timer })
    })
  }

  close(): void {
    this.socket.destroy()
  }

  #received(text: string): void {
    this.#text += text
    for (;;) {
      const headEnd = this.#text.indexOf('\r\n\r\n')
      if (headEnd < 0) return
      const [start = '', ...lines] = this.#text.slice(0, headEnd).split('\r\n')
      const headers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)])
      )
      const length = Number(headers['content-length'] ?? 0)
      const end = headEnd + 4 + length
      if (this.#text.length < end) return
      const body = this.#text.slice(headEnd + 4, end)
      this.#text = this.#text.slice(end)
      const waiting = this.#waiting.shift()
      clearTimeout(waiting?.timer)
      this.#answers++
      waiting?.resolve({ status: Number(start.split(' ')[1]), headers, body })
      if (headers.connection === 'close') this.#end('the server said it closes the connection')
    }
  }

  #end(why: string): void {
    this.#ended ??= why
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer)
      reject(new NoAnswer(why))
    }
    this.socket.end()
  }
}

export function head(method: string, path: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({ host: 'test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** One request on a connection of its own. */
export async function once(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  from?: string
): Promise<Answer> {
  const connection = await Connection.open(port, from)
  try {
    return await connection.request(method, path, headers)
  } finally {
    connection.close()
  }
}

/**
 * A port that is free, and so is the one 10,000 above it, which a node of a Redis Cluster takes too. Below those that the
 * kernel gives to connections (32768 and up on Linux): another process may have taken one of these by the time it is used.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 11_000 + Math.floor(Math.random() * 10_000)
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
