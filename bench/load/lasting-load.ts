import { once, setMaxListeners } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { LastingResult } from './load.ts'

const MESSAGE_MS = 100
const RECONNECT_MS = 20
/** How long the last answers of a socket may take. */
const LAST_ANSWERS_MS = 5000

/** Event streams and WebSockets of clients that connect again when a connection breaks. They need the routes of mixed.ts. */
export class LastingLoad {
  /** Connections that could not be opened, by reason. */
  readonly failures = new Map<string, number>()
  /** Resolves when each client has been connected. */
  readonly connected: Promise<void>
  #onConnection = () => {}
  #streamsBroken = 0
  readonly #socketsBroken: Record<string, number> = {}
  #missing = 0
  #giveUpAt = 0
  readonly #port: number
  readonly #stopping = new AbortController()
  readonly #clients: Promise<void>[]

  constructor(port: number, { streams, sockets }: { streams: number; sockets: number }) {
    this.#port = port
    setMaxListeners(0, this.#stopping.signal)
    let connections = 0
    this.connected = new Promise((resolve) => {
      this.#onConnection = () => {
        if (++connections === streams + sockets) resolve()
      }
    })
    this.#clients = [
      ...Array.from({ length: streams }, () => this.#readStreams()),
      ...Array.from({ length: sockets }, () => this.#repeat('socket', () => this.#useSocket()))
    ]
  }

  get result(): LastingResult {
    return { streamsBroken: this.#streamsBroken, socketsBroken: this.#socketsBroken, missing: this.#missing }
  }

  /** Resolves when each message of an open socket is answered, or was not in time. */
  async stop(): Promise<void> {
    this.#giveUpAt = performance.now() + LAST_ANSWERS_MS
    this.#stopping.abort()
    await Promise.all(this.#clients)
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  async #repeat(kind: string, connect: () => Promise<void>): Promise<void> {
    while (!this.#isStopping) {
      try {
        await connect()
      } catch (error) {
        if (this.#isStopping) return
        const key = `${kind}: ${(error as Error).message}`
        this.failures.set(key, (this.failures.get(key) ?? 0) + 1)
      }
      await sleep(RECONNECT_MS)
    }
  }

  /** Reads streams that continue behind the last event, as browsers ask for it. */
  #readStreams(): Promise<void> {
    let lastId = 0
    return this.#repeat('stream', async () => {
      const response = await this.#openStream(lastId)
      this.#onConnection()
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const events = (text + chunk).split('\n\n')
        text = events.pop()!
        for (const [, id] of events.map((event) => /^id: (\d+)$/m.exec(event) ?? [])) {
          if (id === undefined) continue
          if (Number(id) !== lastId + 1) this.#missing++
          lastId = Number(id)
        }
      })
      response.on('error', () => {}) // a close follows
      await once(response, 'close')
      if (!this.#isStopping) this.#streamsBroken++
    })
  }

  async #openStream(lastId: number): Promise<IncomingMessage> {
    const headers = { 'last-event-id': String(lastId) }
    const { signal } = this.#stopping
    const sent = request({ port: this.#port, host: '127.0.0.1', path: '/events', agent: false, headers, signal }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    sent.on('error', () => {}) // the response says it too
    if (response.statusCode === 200) return response
    response.resume()
    throw new Error(`status ${response.statusCode}`)
  }

  /** Sends messages for as long as the server keeps the socket open. */
  async #useSocket(): Promise<void> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/socket`, { perMessageDeflate: false })
    await once(socket, 'open')
    this.#onConnection()
    let sent = 0
    let answered = 0
    socket.on('error', () => {}) // a close follows
    socket.on('message', (data) => {
      const count = Number(String(data))
      if (count !== answered + 1) this.#missing++
      answered = count
    })
    const closed = once(socket, 'close') as Promise<[code: number]>
    const timer = setInterval(() => {
      if (this.#isStopping) {
        if (answered >= sent || performance.now() > this.#giveUpAt) socket.close()
      } else if (socket.readyState === WebSocket.OPEN) {
        socket.send('message')
        sent++
      }
    }, MESSAGE_MS)
    const [code] = await closed
    clearInterval(timer)
    this.#missing += Math.abs(sent - answered)
    if (!this.#isStopping) this.#socketsBroken[code] = (this.#socketsBroken[code] ?? 0) + 1
  }
}
