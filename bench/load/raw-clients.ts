import { connect, type Socket } from 'node:net'
import { poisson } from '../random.ts'
import type { RateJob, RateResult } from './load.ts'
import { Tally } from './tally.ts'

const TIMEOUT_MS = 2000
/** More connections at once would not fit into the queue of a listening socket. */
const OPEN_AT_A_TIME = 100

/** The nth of 250 loopback addresses; Linux accepts all of 127.0.0.0/8. */
const nthAddress = (nth: number): string => `127.0.2.${1 + (nth % 250)}`

/** A client with one connection that sends one request at a time. */
class RawClient {
  readonly #socket: Socket
  readonly #host: string
  #text = ''
  #settle: ((result: { status: number; body: string } | { failure: string }) => void) | undefined

  constructor(url: string, localAddress?: string) {
    const { hostname, port, host } = new URL(url)
    this.#host = host
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, ...(localAddress && { localAddress }) })
    const fail = (failure: string) => this.#settle?.({ failure })
    this.#socket.setEncoding('latin1').setTimeout(TIMEOUT_MS, () => {
      fail('timeout')
      this.#socket.destroy()
    })
    this.#socket.on('data', (chunk) => {
      this.#text += chunk
      const response = completeResponse(this.#text)
      if (response) this.#settle?.(response)
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message))
    this.#socket.on('close', () => fail('ended without a response'))
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded
  }

  /** Resolves with the complete response or the kind of failure; never rejects. */
  async request(target: string, headers = ''): Promise<{ status: number; body: string } | { failure: string }> {
    const response = new Promise<{ status: number; body: string } | { failure: string }>((resolve) => {
      this.#settle = resolve
    })
    this.#text = ''
    this.#socket.write(`${target} HTTP/1.1\r\nhost: ${this.#host}\r\naccept: application/json\r\n${headers}\r\n`)
    const result = await response
    this.#settle = undefined
    return result
  }

  /** Stays open without a request for as long as the server allows. */
  keepIdle(): void {
    this.#socket.setTimeout(0)
  }

  close(): void {
    this.#socket.destroy()
  }
}

const POST_HITS = ['POST /hits', 'content-length: 0\r\n'] as const

/** @returns the requests of a job, one with each call; cookies take turns */
function requestsOf({ row }: RateJob, cookies: readonly string[]): () => readonly [target: string, headers: string] {
  let turn = 0
  return () => {
    if (row === 'session') return ['GET /', `cookie: ${cookies[turn++ % cookies.length]}\r\n`]
    return row === 'connect' ? [POST_HITS[0], `${POST_HITS[1]}connection: close\r\n`] : POST_HITS
  }
}

/**
 * Sends a request on a connection, or on a new one, and counts the result.
 * @param begun from when its latency counts
 * @returns the connection, if it can be used again
 */
async function ask(connection: RawClient, request: readonly [string, string], tally: Tally, begun: number) {
  const result = await connection.request(...request)
  if ('failure' in result) tally.failed(result.failure)
  else tally.answered(result.status, performance.now() - begun)
  if ('status' in result && !request[1].includes('connection: close')) return connection
  connection.close()
  return undefined
}

/** The load where wrk is missing, or where each connection comes from an address of its own. */
export async function rawLoad(job: RateJob, cookies: readonly string[]): Promise<RateResult> {
  const tally = new Tally()
  const end = performance.now() + job.seconds * 1000
  const next = requestsOf(job, cookies)
  const client = async (_: unknown, nth: number) => {
    let connection: RawClient | undefined
    while (performance.now() < end) {
      const begun = performance.now()
      connection ??= new RawClient(job.url, job.spread ? nthAddress(nth) : undefined)
      connection = await ask(connection, next(), tally, begun)
    }
    connection?.close()
  }
  await Promise.all(Array.from({ length: job.connections }, client))
  return tally.result(job.seconds)
}

/**
 * A load that does not slow down with the server: requests are due at random times, and one that finds all connections busy waits for
 * one. Latency counts from when it was due, so a server that stalls is charged for all requests that its users would have sent meanwhile
 * (otherwise they are missing from its figures: Gil Tene's "coordinated omission").
 * @param perSecond the mean number of requests that are due in a second
 */
export async function openLoad(job: RateJob, perSecond: number, cookies: readonly string[]): Promise<RateResult> {
  const tally = new Tally()
  const next = requestsOf(job, cookies)
  const due: number[] = []
  const idle: ((due: number | undefined) => void)[] = []
  let ended = false
  const nextDue = async () =>
    due.shift() ?? (ended ? undefined : new Promise<number | undefined>((take) => idle.push(take)))
  const arrive = (at: number) => {
    const take = idle.shift()
    if (take) take(at)
    else due.push(at)
  }
  const client = async () => {
    let connection: RawClient | undefined
    for (let at = await nextDue(); at !== undefined; at = await nextDue()) {
      connection = await ask(connection ?? new RawClient(job.url), next(), tally, at)
    }
    connection?.close()
  }
  const clients = Array.from({ length: job.connections }, client)
  const begin = performance.now()
  const milliseconds = job.seconds * 1000
  await new Promise<void>((resolve) => {
    let tick = 0
    const timer = setInterval(() => {
      for (; tick < Math.min(milliseconds, performance.now() - begin); tick++) {
        for (let arrivals = poisson(perSecond / 1000); arrivals > 0; arrivals--) arrive(begin + tick)
      }
      if (tick < milliseconds) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  // What still waits is the backlog of a server that is slower than this load.
  if (due.length > 0) tally.failed('never sent: all connections were busy', due.splice(0).length)
  ended = true
  for (const take of idle) take(undefined)
  await Promise.all(clients)
  return tally.result(job.seconds)
}

const held: RawClient[] = []

/** Opens connections that send one request and stay open. */
export async function hold({ url, connections }: { url: string; connections: number }): Promise<{ held: number }> {
  let opened = 0
  const opener = async () => {
    while (opened < connections) {
      const client = new RawClient(url, nthAddress(opened++))
      const result = await client.request(...POST_HITS)
      if (!('status' in result) || result.status !== 200) throw new Error(`idle connections: ${JSON.stringify(result)}`)
      client.keepIdle()
      held.push(client)
    }
  }
  await Promise.all(Array.from({ length: OPEN_AT_A_TIME }, opener))
  return { held: held.filter(({ isOpen }) => isOpen).length }
}

/** Opens connections at once, each from its own address, and counts how many each slot got. */
export async function balance(order: { url: string; connections: number; workers: number }): Promise<number[]> {
  const clients = Array.from({ length: order.connections }, (_, nth) => new RawClient(order.url, nthAddress(nth)))
  try {
    const slots = await Promise.all(
      clients.map(async (client) => {
        const result = await client.request('GET /')
        if (!('status' in result) || result.status !== 200) throw new Error(`balance: ${JSON.stringify(result)}`)
        return (JSON.parse(result.body) as { worker: { slot: number } }).worker.slot
      })
    )
    return Array.from({ length: order.workers }, (_, slot) => slots.filter((one) => one === slot).length)
  } finally {
    for (const client of clients) client.close()
  }
}

/** The response once all of it is there, measured by its content-length. */
function completeResponse(text: string): { status: number; body: string } | undefined {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0)
  const body = text.slice(head + 4)
  return body.length >= length ? { status: Number(text.slice(9, 12)), body: body.slice(0, length) } : undefined
}
