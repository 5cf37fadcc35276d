import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface LoadRequest {
  path?: string
  headers?: Record<string, string>
  /** Expected status. Default: 200. */
  status?: number
  /** Expected in every body. */
  body?: RegExp
}

/** Clients with one connection each that ask one request after the other. `busy` pause 5 ms, `idle` up to 1 s. */
const CLIENTS = { busy: 4, idle: 4 }
const TIMEOUT_MS = 30_000

/** Counts failed requests and closed connections while a service reloads. No client retries. */
export class KeepAliveLoad {
  answered = 0
  /** Connections that the service closed although the client kept them. */
  closed = 0
  /** Kinds of failure and how often. */
  readonly failures = new Map<string, number>()
  readonly #port: number
  readonly #wanted: LoadRequest
  readonly #clients: Promise<void>[]
  #stopping = false

  constructor(t: { after(fn: () => Promise<unknown>): void }, port: number, wanted: LoadRequest) {
    this.#port = port
    this.#wanted = wanted
    this.#clients = [
      ...Array.from({ length: CLIENTS.busy }, () => this.#run(() => sleep(5))),
      ...Array.from({ length: CLIENTS.idle }, () => this.#run(() => sleep(Math.random() * 1000)))
    ]
    t.after(() => this.stop())
  }

  /** Stops all clients, each after its current request. */
  async stop(): Promise<this> {
    this.#stopping = true
    await Promise.all(this.#clients)
    return this
  }

  async #run(pause: () => Promise<unknown>): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const sockets = new Set<Socket>()
    while (!this.#stopping) {
      try {
        await this.#ask(agent, sockets)
        this.answered++
      } catch (error) {
        const key = (error as Error).message
        this.failures.set(key, (this.failures.get(key) ?? 0) + 1)
      }
      await pause()
    }
    this.closed += sockets.size - 1
    agent.destroy()
  }

  #ask(agent: Agent, sockets: Set<Socket>): Promise<void> {
    const { path = '/', headers = {}, status = 200, body = /(?:)/ } = this.#wanted
    return new Promise((resolve, reject) => {
      const call = request({ agent, port: this.#port, host: '127.0.0.1', path, headers, timeout: TIMEOUT_MS })
      call.on('socket', (socket) => sockets.add(socket))
      call.on('timeout', () => call.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)))
      call.on('error', reject)
      call.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () => {
          if (response.statusCode === status && body.test(text)) return resolve()
          reject(new Error(`a wrong answer: ${response.statusCode} ${text.slice(0, 200)}`))
        })
      })
      call.end()
    })
  }
}
