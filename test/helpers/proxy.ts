import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cleans, cleanup } from './cleanup.ts'
import { temporaryFolder } from './service.ts'

interface Pair {
  client: Socket
  upstream: Socket
  /** Whether the next reply to this client is dropped and its connection cut. */
  losesReply: boolean
  /** Requests that are held back, also those of a client that has disconnected; undefined: requests pass. */
  heldBack: Buffer[] | undefined
  /** Resolve when the last chunk is delivered, because chunks keep their order. */
  requests: Promise<void>
  answers: Promise<void>
}

/**
 * A proxy between an app and its Redis that fails as networks do: it loses replies, cuts, hangs and refuses connections. It listens
 * on a Unix socket, because no other process can take that address while the proxy refuses connections.
 */
export class RedisProxy {
  readonly #socketPath: string
  readonly #upstreamPath: string
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #hanging = false
  #mute = false
  #loseAnswerTo = ''
  /** Delay of each chunk of requests and of replies, in ms; undefined: none. */
  latency: { request?: () => number; answer?: () => number } = {}
  /** Number of replies that are still to be lost. */
  toLose = 0
  /** Number of connections so far. */
  accepted = 0
  #toDuplicate = 0
  #duplicated: (chunk: Buffer) => boolean = () => false

  private constructor(socketPath: string, upstreamPath: string) {
    this.#socketPath = socketPath
    this.#upstreamPath = upstreamPath
  }

  /** @param url of Redis, as `unix:///path` */
  static async start(t: Cleans, url: string): Promise<RedisProxy> {
    const proxy = new RedisProxy(join(temporaryFolder(t), 'proxy.sock'), url.replace('unix://', ''))
    cleanup(t, () => proxy.refuse())
    await proxy.accept()
    return proxy
  }

  get url(): string {
    return `unix://${this.#socketPath}`
  }

  /** Accepts connections (again). */
  accept(): Promise<void> {
    const server = createServer((client) => this.#pair(client))
    this.#server = server
    return new Promise((resolve, reject) => server.once('error', reject).listen(this.#socketPath, resolve))
  }

  /** Cuts every connection and refuses new ones. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.cut()
    if (server) await new Promise((resolve) => server.close(resolve))
  }

  cut(): void {
    for (const pair of this.#pairs) end(pair)
  }

  /** Keeps all connections, also new ones, but passes nothing on in either direction. */
  hang(): void {
    this.#hanging = true
    this.strand()
  }

  /** Passes requests on, but drops replies. */
  mute(): void {
    this.#mute = true
  }

  /** Passes replies on again, from now on. */
  unmute(): void {
    this.#mute = false
  }

  /** Passes nothing on over the current connections; new ones work. */
  strand(): void {
    for (const pair of this.#pairs) {
      pair.heldBack ??= []
      pair.upstream.pause()
    }
  }

  /**
   * Delivers what was held back, also for clients that have disconnected, as networks do. Resolves when Redis has executed the
   * requests of disconnected clients.
   */
  async flow(): Promise<void> {
    this.#hanging = false
    await Promise.all(
      [...this.#pairs].map(async (pair) => {
        const { client, upstream } = pair
        for (const chunk of pair.heldBack ?? []) upstream.write(chunk)
        pair.heldBack = undefined
        upstream.resume()
        if (!client.destroyed || upstream.destroyed) return
        await new Promise((resolve) => upstream.once('close', resolve).end())
      })
    )
  }

  /** Loses the next `times` replies to requests that contain this text, and cuts their connections. */
  loseAnswers(times: number, request: string): void {
    this.toLose = times
    this.#loseAnswerTo = request
  }

  /**
   * Executes the next `times` packets of requests for which this holds a second time, over a connection of their own, and drops the
   * replies.
   */
  duplicate(times: number, isWanted: (chunk: Buffer) => boolean): void {
    this.#toDuplicate = times
    this.#duplicated = isWanted
  }

  #pair(client: Socket): void {
    this.accepted++
    const upstream = connect(this.#upstreamPath)
    const pair: Pair = {
      client,
      upstream,
      losesReply: false,
      heldBack: this.#hanging ? [] : undefined,
      requests: DELIVERED,
      answers: DELIVERED
    }
    if (this.#hanging) upstream.pause()
    this.#pairs.add(pair)
    client.on('data', (chunk: Buffer) => {
      pair.losesReply ||= this.toLose > 0 && chunk.includes(this.#loseAnswerTo)
      if (this.#toDuplicate > 0 && this.#duplicated(chunk)) {
        this.#toDuplicate--
        executeAgain(this.#upstreamPath, chunk)
      }
      if (pair.heldBack) pair.heldBack.push(chunk)
      else pair.requests = inOrder(pair.requests, this.latency.request, () => upstream.write(chunk))
    })
    upstream.on('data', (chunk) => {
      if (this.#mute) return
      if (!pair.losesReply) {
        pair.answers = inOrder(pair.answers, this.latency.answer, () => client.write(chunk))
        return
      }
      this.toLose--
      end(pair)
    })
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.on('close', () => {
      if (!pair.heldBack) upstream.destroy()
    })
    upstream.on('close', () => {
      this.#pairs.delete(pair)
      client.destroy()
    })
  }
}

const DELIVERED = Promise.resolve()

/** Delivers after the earlier chunks and after the latency; at once where no chunk was ever delayed. */
function inOrder(before: Promise<void>, latency: (() => number) | undefined, deliver: () => unknown): Promise<void> {
  if (!latency && before === DELIVERED) {
    deliver()
    return DELIVERED
  }
  return Promise.all([before, sleep(latency?.() ?? 0)]).then(() => void deliver())
}

function executeAgain(path: string, chunk: Buffer): void {
  const socket = connect(path)
  socket.on('error', () => {}).resume()
  socket.end(chunk)
}

function end({ client, upstream }: Pair): void {
  client.destroy()
  upstream.destroy()
}
