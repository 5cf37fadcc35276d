import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { Connection, head } from './http.ts'
import { Http2Client, Refused } from './http2.ts'

/** Number of clients of each kind. */
export interface Mix {
  /** Send one request after the other on one connection. */
  tight?: number
  /** Open a new connection for each request. */
  fresh?: number
  /** Ask for responses that take 50 to 850 ms. */
  slow?: number
  /** Send eight requests at once, half of the bursts in two packets. */
  pipelined?: number
  /** Pause up to 1.5 s between two requests on one connection: KEEP_ALIVE_TIMEOUT must leave them time. */
  idle?: number
  /** Send POST requests with a body on one connection. */
  posts?: number
  /** Read server-sent events; only without TLS. */
  streams?: number
  /** Send eight HTTP/2 requests at once, with pauses; only with TLS. */
  multiplexed?: number
}

/** Clients that never retry and count every kind of failure. They need the routes of the fixture `slow`. */
export class Load {
  answered = 0
  /** Connections that the server closed although the client wanted to keep them. */
  reopened = 0
  /** HTTP/2 requests that the server refused before it started them. The client sends them again. */
  refused = 0
  /** POST requests that were answered. */
  posted = 0
  /** Kinds of failure and how often. */
  readonly failures = new Map<string, number>()
  readonly #port: number
  readonly #addresses: number
  readonly #ca: string | undefined
  readonly #pauseMs: number
  #opened = 0
  readonly #clients: Promise<void>[] = []
  #stopping = false
  #lastId = 0
  readonly #latencies: number[] = []
  #onAnswer: (() => void) | undefined

  /**
   * Stops with the test at the latest.
   * @param options.addresses number of client addresses, at most 250; connections use them in turn
   * @param options.ca certificate authority in PEM; with it the clients use TLS
   * @param options.pauseMs pause of tight, fresh and pipelined clients after each request or burst. Without a pause they take a whole
   * core and prove nothing more.
   */
  constructor(
    t: { after(fn: () => Promise<unknown>): void },
    port: number,
    mix: Mix,
    { addresses = 1, ca, pauseMs = 4 }: { addresses?: number; ca?: string; pauseMs?: number } = {}
  ) {
    cleanup(t, () => this.stop())
    this.#port = port
    this.#pauseMs = pauseMs
    this.#addresses = addresses
    this.#ca = ca
    const kinds = {
      tight: () =>
        this.#kept(async (connection) => {
          await this.#echo(connection)
          await this.#pause()
        }),
      fresh: () => this.#fresh(),
      slow: () =>
        this.#kept(async (connection) => {
          await this.#echo(connection, `/slow?ms=${Math.round(50 + Math.random() * 800)}`)
        }),
      pipelined: () =>
        this.#kept(async (connection) => {
          await this.#burst(connection)
          await this.#pause()
        }),
      idle: () =>
        this.#kept(async (connection) => {
          await this.#echo(connection)
          await sleep(Math.random() * 1500)
        }),
      posts: () =>
        this.#kept(async (connection) => {
          await this.#post(connection)
          await this.#pause()
        }),
      streams: () => this.#streams(),
      multiplexed: () => this.#multiplexed()
    }
    for (const [kind, count] of Object.entries(mix)) {
      for (let i = 0; i < count; i++) this.#clients.push(this.#loop(kind, kinds[kind as keyof Mix]))
    }
  }

  /** A percentile of the response times of tight and fresh clients, in ms. @param part from 0 to 1 */
  percentile(part: number): number {
    const sorted = this.#latencies.sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length * part)] ?? 0
  }

  /** Resolves when at least this many requests have been answered since the start. */
  async until(answers: number): Promise<void> {
    while (this.answered < answers) {
      await new Promise<void>((resolve) => {
        this.#onAnswer = resolve
      })
    }
  }

  /** Stops all clients, each after its current request. */
  async stop(): Promise<this> {
    this.#stopping = true
    await Promise.all(this.#clients)
    return this
  }

  async #loop(kind: string, run: () => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      try {
        await run()
      } catch (error) {
        const key = `${kind}: ${(error as Error).message}`
        this.failures.set(key, (this.failures.get(key) ?? 0) + 1)
        await sleep(20)
      }
    }
  }

  /** Uses one connection for as long as the server keeps it open. */
  async #kept(use: (connection: Connection) => Promise<void>): Promise<void> {
    const connection = await this.#connect()
    try {
      while (!this.#stopping && !connection.ended) await use(connection)
      if (!this.#stopping) this.reopened++
    } finally {
      connection.close()
    }
  }

  async #echo(connection: Connection, path = '/echo?'): Promise<void> {
    const id = String(++this.#lastId)
    const started = performance.now()
    const answer = await connection.request('GET', `${path}&id=${id}`)
    if (path === '/echo?') this.#latencies.push(performance.now() - started)
    this.#check(answer, id)
  }

  async #post(connection: Connection): Promise<void> {
    const id = String(++this.#lastId)
    const answer = connection.expect()
    connection.socket.write(`${head('POST', `/echo?id=${id}`, { 'content-length': String(id.length) })}${id}`)
    this.#check(await answer, id)
    this.posted++
  }

  async #burst(connection: Connection): Promise<void> {
    const ids = Array.from({ length: 8 }, () => String(++this.#lastId))
    const answers = Promise.all(ids.map(() => connection.expect()))
    const text = ids.map((id) => head('GET', `/echo?id=${id}`)).join('')
    const cut = Math.random() < 0.5 ? text.length : Math.round(text.length * Math.random())
    connection.socket.write(text.slice(0, cut))
    if (cut < text.length) setTimeout(() => connection.socket.write(text.slice(cut)), Math.random() * 5)
    for (const [i, answer] of (await answers).entries()) this.#check(answer, ids[i]!)
  }

  async #fresh(): Promise<void> {
    const connection = await this.#connect()
    try {
      await this.#echo(connection)
    } finally {
      connection.close()
    }
    await this.#pause()
  }

  async #pause(): Promise<void> {
    if (this.#pauseMs > 0) await sleep(this.#pauseMs)
  }

  #connect(): Promise<Connection> {
    return Connection.open(this.#port, this.#address(), this.#ca === undefined ? undefined : { ca: this.#ca })
  }

  /** Uses one HTTP/2 session for as long as the server keeps it open. */
  async #multiplexed(): Promise<void> {
    const client = await Http2Client.open(this.#port, this.#ca)
    const ask = async () => {
      const id = String(++this.#lastId)
      try {
        this.#check(await client.get(`/echo?id=${id}`), id)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        this.refused++
      }
    }
    try {
      while (!this.#stopping && !client.ended) {
        const asked = await Promise.allSettled(Array.from({ length: 8 }, ask))
        for (const one of asked) if (one.status === 'rejected') throw one.reason
        await sleep(Math.random() * 100)
      }
      if (!this.#stopping) this.reopened++
    } finally {
      client.close()
    }
  }

  /** A stream must end with a last event or because this client leaves. */
  async #streams(): Promise<void> {
    let text = ''
    await new Promise<void>((resolve, reject) => {
      const to = { port: this.#port, host: '127.0.0.1', localAddress: this.#address(), path: '/events', agent: false }
      const call = request(to, (response) => {
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text = (text + chunk).slice(-200)
          if (this.#stopping) call.destroy()
        })
        response.on('end', () =>
          text.includes('event: bye') ? resolve() : reject(new Error('the stream ended without a last event'))
        )
        response.on('error', (error) => (this.#stopping ? resolve() : reject(error)))
      })
      call.on('error', (error) => (this.#stopping ? resolve() : reject(error)))
      call.end()
    })
    this.answered++
  }

  #address(): string {
    return `127.0.0.${1 + (this.#opened++ % this.#addresses)}`
  }

  #check({ status, body }: { status: number; body: string }, id: string): void {
    const right = status === 200 && (JSON.parse(body) as { id: string }).id === id
    if (!right) throw new Error(`a wrong answer: ${status} ${body.slice(0, 200)}`)
    this.answered++
    this.#onAnswer?.()
  }
}

export const fixture = (name: string): string => new URL(`../fixtures/${name}.js`, import.meta.url).pathname
