import { once, setMaxListeners } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { SocketClient } from './socket-client.ts'
import { until } from './until.ts'

/** Number of clients of each kind. */
export interface LastingMix {
  /** Send a message every 20 ms, cut at a random byte. */
  busySockets: number
  /** Send a message every two seconds. */
  quietSockets: number
  /** Read an event stream, with an event every 100 ms. */
  streams: number
  /** Read an event stream, with an event every two seconds. */
  quietStreams?: number
  /** Send or receive `transferBytes` at 100 KiB/s, one request after the other. Half of them are uploads. */
  transfers: number
}

const BUSY_MS = 20
const QUIET_MS = 2000
const MAX_PADDING = 300
const PIECE_MS = 100
const PIECE_BYTES = 10_240
/** Connections that are opened at once. */
const OPENED_AT_ONCE = 50

/**
 * Clients that stay connected through releases and notice everything: a close, an error, an answer or event that is missing,
 * repeated or out of order. They need the routes of the fixture `lasting`.
 */
export class LastingClients {
  /** What clients noticed, and how often. */
  readonly noticed = new Map<string, number>()
  messages = 0
  events = 0
  transfers = 0
  /** The workers that answered messages. */
  readonly pids = new Set<number>()
  /** By process id of a worker: the sockets and streams that closed after it had served them last. */
  readonly closedWith = new Map<number, number>()
  readonly #port: number
  readonly #pieces: number
  readonly #stopping = new AbortController()
  readonly #clients: Promise<void>[] = []
  /** For each socket and stream: how much it has received, and Infinity once it is closed. */
  readonly #received: (() => number)[] = []

  /** @param transferSeconds how long an upload or download takes */
  constructor(port: number, { transferSeconds }: { transferSeconds: number }) {
    this.#port = port
    this.#pieces = Math.round((transferSeconds * 1000) / PIECE_MS)
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Resolves when all clients are connected. Stops them with the test at the latest. */
  static async start(
    t: { after(fn: () => unknown): void },
    port: number,
    mix: LastingMix,
    options: { transferSeconds: number }
  ): Promise<LastingClients> {
    const clients = new LastingClients(port, options)
    cleanup(t, () => clients.stop())
    await openEach(mix.busySockets, () => clients.#openSocket(BUSY_MS))
    await openEach(mix.quietSockets, () => clients.#openSocket(QUIET_MS))
    await openEach(mix.streams, () => clients.#openStream('/stream'))
    await openEach(mix.quietStreams ?? 0, () => clients.#openStream(`/stream?ms=${QUIET_MS}`))
    for (let i = 0; i < mix.transfers; i++)
      clients.#clients.push(clients.#transfer(i % 2 === 0 ? clients.#upload : clients.#download))
    return clients
  }

  /** Waits until each open socket and stream has received something more. */
  async receiveMore(): Promise<void> {
    const before = this.#received.map((received) => received())
    await until(() => this.#received.every((received, i) => received() > before[i]! || received() === Infinity), 'more')
  }

  /** Ends all clients in order: each socket has all its answers, each upload and download is complete. */
  async stop(): Promise<this> {
    this.#stopping.abort()
    await Promise.all(this.#clients)
    return this
  }

  #notice(what: string): void {
    this.noticed.set(what, (this.noticed.get(what) ?? 0) + 1)
  }

  #noticeClose(pid: number, what: string): void {
    this.#notice(what)
    this.closedWith.set(pid, (this.closedWith.get(pid) ?? 0) + 1)
  }

  async #openSocket(everyMs: number): Promise<void> {
    const client = await SocketClient.open(this.#port, '/socket')
    this.#received.push(() => (client.closed ? Infinity : client.answers.length))
    this.#clients.push(this.#useSocket(client, everyMs))
  }

  async #useSocket(client: SocketClient, everyMs: number): Promise<void> {
    client.cutWrites(this.#clients.length)
    while (!this.#stopping.signal.aborted && !client.closed) {
      client.send(Math.floor(Math.random() * MAX_PADDING), client.sent % 5 === 0)
      await sleep(everyMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
    }
    await client.allAnswered().catch(({ message }: Error) => this.#notice(`socket: ${message}`))
    this.messages += client.answers.length
    for (const pid of client.pids) this.pids.add(pid)
    const last = client.answers.at(-1)?.pid ?? 0
    if (client.closed) this.#noticeClose(last, `socket: closed with ${client.closed.code}`)
    else if (!client.isExact) this.#notice(`socket: ${client.summary}`)
    client.socket.close()
    await client.ended()
  }

  async #openStream(path: string): Promise<void> {
    const sent = request({ port: this.#port, host: '127.0.0.1', path, agent: false })
    sent.end()
    const [response] = await once(sent, 'response')
    let text = ''
    let lastId = 0
    let pid = 0
    response.setEncoding('utf8').on('data', (chunk: string) => {
      const events = (text + chunk).split('\n\n')
      text = events.pop()!
      for (const event of events) {
        // The time to wait before a reconnection comes again from each worker.
        if (event.startsWith('retry:')) continue
        const id = Number(/^id: (\d+)$/m.exec(event)?.[1])
        if (id !== lastId + 1) this.#notice(`stream: ${event.replaceAll('\n', ' ')} behind ${lastId}`)
        lastId = id
        pid = Number(/^data: (\d+)$/m.exec(event)?.[1])
        this.events++
      }
    })
    sent.on('error', () => {}) // the response says it too
    this.#received.push(() => (response.closed ? Infinity : lastId))
    const closed = new Promise<void>((resolve) => {
      response.on('error', () => {}) // a close follows
      response.on('close', () => {
        if (!this.#stopping.signal.aborted) this.#noticeClose(pid, 'stream: closed')
        resolve()
      })
    })
    this.#stopping.signal.addEventListener('abort', () => sent.destroy())
    this.#clients.push(closed)
  }

  async #transfer(run: () => Promise<void>): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await run.call(this)
        this.transfers++
      } catch (error) {
        this.#notice((error as Error).message)
        await sleep(PIECE_MS)
      }
    }
  }

  async #upload(): Promise<void> {
    const bytes = this.#pieces * PIECE_BYTES
    const headers = { 'content-type': 'application/octet-stream', 'content-length': bytes }
    const sent = request({
      port: this.#port,
      host: '127.0.0.1',
      path: '/upload',
      method: 'POST',
      headers,
      agent: false
    })
    const answered = once(sent, 'response').catch((error: Error) => {
      throw new Error(`upload: ${error.message}`)
    })
    answered.catch(() => {}) // awaited below
    for (let i = 0; i < this.#pieces && !sent.destroyed; i++) {
      sent.write(Buffer.alloc(PIECE_BYTES, i))
      await sleep(PIECE_MS)
    }
    sent.end()
    const [response] = await answered
    const received = await readAll(response)
    if (response.statusCode !== 200 || received.text !== String(bytes))
      throw new Error(`upload: ${response.statusCode} ${received.text}`)
  }

  async #download(): Promise<void> {
    const path = `/download?pieces=${this.#pieces}&bytes=${PIECE_BYTES}&ms=${PIECE_MS}`
    const sent = request({ port: this.#port, host: '127.0.0.1', path, agent: false })
    sent.end()
    try {
      const [response] = await once(sent, 'response')
      const { length } = await readAll(response)
      if (length !== this.#pieces * PIECE_BYTES) throw new Error(`${length} bytes`)
    } catch (error) {
      throw new Error(`download: ${(error as Error).message}`)
    }
  }
}

async function openEach(count: number, open: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i += OPENED_AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, count - i) }, open))
}

async function readAll(response: AsyncIterable<Buffer>): Promise<{ text: string; length: number }> {
  let length = 0
  let text = ''
  for await (const chunk of response) {
    length += chunk.length
    if (length < 1000) text += String(chunk)
  }
  return { text, length }
}
