import { type ChildProcess, fork, type Serializable } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Mix } from '../../test/helpers/load.ts'
import { BenchError } from '../scenario.ts'

/** The kinds of load: a hit, a page with a session, a new connection for each hit. */
export const rows = ['hit', 'session', 'connect'] as const
export type Row = (typeof rows)[number]

export const rowTitles: Record<Row, string> = {
  hit: 'A hit: `POST /hits`, keep-alive',
  session: 'A page with a session: `GET /` with its cookie, keep-alive',
  connect: 'A connection per request: `POST /hits`, `Connection: close`'
}

/** One window of load. */
export interface RateJob {
  readonly row: Row
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** For `session`: every cookie must lead back to its session, or the job fails. */
  readonly shared: boolean
  /** For `session`: this many sessions, the next one with each request. By default one for each connection. */
  readonly sessions?: number
  /** Each connection comes from a loopback address of its own, as clients do; not for `session`. */
  readonly spread?: boolean
  /** Requests per second that are due at random times, whether or not earlier ones were answered. By default a connection asks again at once. */
  readonly due?: number
}

/**
 * What the clients of one window saw. Latency counts to the complete response: from the request, from the opening of its connection, or
 * from when the request was due.
 */
export interface RateResult {
  /** Requests answered with 2xx. */
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Only of clients in JavaScript. */
  readonly p999Ms?: number
  /** Everything else by kind: a status, an error code, a timeout, a connection that ended without a response. */
  readonly failures: Readonly<Record<string, number>>
}

/** Numbers of clients of a mixed load. */
export interface MixedClients {
  /** Clients that send requests. */
  readonly mix: Mix
  /** Clients that read an event stream. */
  readonly streams: number
  /** Clients that use a WebSocket. */
  readonly sockets: number
}

/** What clients of long-lived connections saw. */
export interface LastingResult {
  /** Event streams that the server ended or reset. */
  readonly streamsBroken: number
  /** WebSockets that the server ended or reset, by close code. */
  readonly socketsBroken: Readonly<Record<string, number>>
  /** Events and answers to messages that did not come, or came twice or out of order. */
  readonly missing: number
}

/** What clients of a mixed load saw. No client repeats a request. */
export interface MixedResult extends LastingResult {
  readonly answered: number
  /** Connections that were opened again by clients that keep theirs. */
  readonly reopened: number
  /** `client: what it saw`, and how often. */
  readonly failures: Readonly<Record<string, number>>
  readonly p99Ms: number
}

/** Requests to the load process, with the types of their results. */
export interface LoadRequests {
  prepare: { args: RateJob; result: null }
  go: { args: null; result: RateResult }
  /** Opens connections that ask once and are kept. */
  hold: { args: { url: string; connections: number }; result: { held: number } }
  /** Opens connections at once and counts how many each worker got. */
  balance: { args: { url: string; connections: number; workers: number }; result: number[] }
  'mixed-start': { args: { port: number; clients: MixedClients }; result: null }
  'mixed-stop': { args: null; result: MixedResult }
}

/** A mixed request without a response is given up after 30 s, so every client ends. */
export const MIXED_END_MS = 35_000

/** The load generator, in a process of its own so that its CPU time is not counted for a server. */
export class Load {
  // Not detached: Ctrl-C of a terminal reaches it, and it exits when the channel closes.
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('./load-child.js', import.meta.url)), {
    stdio: ['ignore', 2, 2, 'ipc']
  })

  /** Runs one window. `read` is called immediately before the first and after the last request. */
  async run<Reading>(job: RateJob, read: () => Reading) {
    await this.#request('prepare', job, 30_000 + (job.sessions ?? 0) * 5)
    const before = read()
    const result = await this.#request('go', null, job.seconds * 1000 + 30_000)
    return { result, before, after: read() }
  }

  async hold(url: string, connections: number): Promise<void> {
    if (connections === 0) return
    const { held } = await this.#request('hold', { url, connections }, 120_000)
    if (held < connections) throw new BenchError(`only ${held} of ${connections} idle connections stayed open`)
  }

  balance(args: LoadRequests['balance']['args']): Promise<number[]> {
    return this.#request('balance', args, 30_000)
  }

  /** Resolves when the clients are warm and the counted ones get responses. */
  async startMixed(port: number, clients: MixedClients): Promise<void> {
    await this.#request('mixed-start', { port, clients }, 60_000)
  }

  stopMixed(): Promise<MixedResult> {
    return this.#request('mixed-stop', null, MIXED_END_MS + 5000)
  }

  /** Ends the process and all its connections. */
  stop(): void {
    this.#child.kill('SIGKILL')
  }

  async #request<R extends keyof LoadRequests>(
    request: R,
    args: LoadRequests[R]['args'],
    timeoutMs: number
  ): Promise<LoadRequests[R]['result']> {
    const waiting = new AbortController()
    const { signal } = waiting
    const timer = setTimeout(() => waiting.abort(), timeoutMs)
    try {
      const response = once(this.#child, 'message', { signal })
      const exit = once(this.#child, 'exit', { signal }).then(() => {
        throw new BenchError('the load process ended')
      })
      this.#child.send({ request, args } as Serializable)
      const [{ result, error }] = (await Promise.race([response, exit])) as [
        { result: LoadRequests[R]['result']; error?: string }
      ]
      if (error !== undefined) throw new BenchError(error)
      return result
    } catch (error) {
      if (signal.aborted) throw new BenchError(`the load process did not answer within ${timeoutMs} ms`)
      throw error
    } finally {
      clearTimeout(timer)
      waiting.abort()
    }
  }
}
