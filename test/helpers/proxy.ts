import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryFolder } from './service.ts'

interface Pair {
  client: Socket
  upstream: Socket
  /** The next answer to this client is dropped, and the connection cut. */
  doomed: boolean
  /** What the client has sent and is held back, even when the client has gone meanwhile. */
  held: Buffer[] | undefined
  /** Resolve when the last chunk so far is delivered: chunks keep their order. */
  requests: Promise<void>
  answers: Promise<void>
}

/**
 * Stands between an app and its Redis and fails as networks do: it loses answers, cuts, hangs and refuses. It listens on a Unix
 * socket, whose address no other process can take while it refuses.
 */
export class RedisProxy {
  readonly #socketPath: string
  readonly #upstreamPath: string
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #hanging = false
  #mute = false
  #loseAnswerTo = ''
  /** How long each chunk of a request, and of an answer, is under way, in ms; undefined: it goes at once. */
  latency: { request?: () => number; answer?: () => number } = {}
  /** Answers that are still to be lost. */
  toLose = 0
  /** Connections that were ever accepted. */
  accepted = 0

  private constructor(socketPath: string, upstreamPath: string) {
    this.#socketPath = socketPath
    this.#upstreamPath = upstreamPath
  }

  /** @param url where Redis is, as `unix:///path` */
  static async start(t: TestContext, url: string): Promise<RedisProxy> {
    const proxy = new RedisProxy(join(temporaryFolder(t), 'proxy.sock'), url.replace('unix://', ''))
    t.after(() => proxy.refuse())
    await proxy.accept()
    return proxy
  }

  get url(): string {
    return `unix://${this.#socketPath}`
  }

  /** Connections are welcome (again). */
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

  /** Connections stay, but nothing comes through, in neither direction; so it is with new ones. */
  hang(): void {
    this.#hanging = true
    this.strand()
  }

  /** What clients send comes through, and no answer does. */
  mute(): void {
    this.#mute = true
  }

  /** Answers come through again, those that come from now on. */
  unmute(): void {
    this.#mute = false
  }

  /** Nothing comes through on the connections that there are; new ones are fine. */
  strand(): void {
    for (const pair of this.#pairs) {
      pair.held ??= []
      pair.upstream.pause()
    }
  }

  /**
   * What was held back comes through now, of clients that have given up as well: networks do deliver late.
   * Resolves when Redis has dealt with what those had sent.
   */
  async flow(): Promise<void> {
    this.#hanging = false
    await Promise.all(
      [...this.#pairs].map(async (pair) => {
        const { client, upstream } = pair
        for (const chunk of pair.held ?? []) upstream.write(chunk)
        pair.held = undefined
        upstream.resume()
        if (!client.destroyed || upstream.destroyed) return
        await new Promise((resolve) => upstream.once('close', resolve).end())
      })
    )
  }

  /** The next `times` that Redis answers a request with this text in it, the answer is lost and the connection cut. */
  loseAnswers(times: number, request: string): void {
    this.toLose = times
    this.#loseAnswerTo = request
  }

  #pair(client: Socket): void {
    this.accepted++
    const upstream = connect(this.#upstreamPath)
    const pair: Pair = {
      client,
      upstream,
      doomed: false,
      held: this.#hanging ? [] : undefined,
      requests: DELIVERED,
      answers: DELIVERED
    }
    if (this.#hanging) upstream.pause()
    this.#pairs.add(pair)
    client.on('data', (chunk: Buffer) => {
      pair.doomed ||= this.toLose > 0 && chunk.includes(this.#loseAnswerTo)
      if (pair.held) pair.held.push(chunk)
      else pair.requests = inOrder(pair.requests, this.latency.request, () => upstream.write(chunk))
    })
    upstream.on('data', (chunk) => {
      if (this.#mute) return
      if (!pair.doomed) {
        pair.answers = inOrder(pair.answers, this.latency.answer, () => client.write(chunk))
        return
      }
      this.toLose--
      end(pair)
    })
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.on('close', () => {
      if (!pair.held) upstream.destroy()
    })
    upstream.on('close', () => {
      this.#pairs.delete(pair)
      client.destroy()
    })
  }
}

const DELIVERED = Promise.resolve()

/** Delivers when what was sent before is delivered, and after the latency. Where nothing was ever delayed, it does so at once. */
function inOrder(before: Promise<void>, latency: (() => number) | undefined, deliver: () => unknown): Promise<void> {
  if (!latency && before === DELIVERED) {
    deliver()
    return DELIVERED
  }
  return Promise.all([before, sleep(latency?.() ?? 0)]).then(() => void deliver())
}

function end({ client, upstream }: Pair): void {
  client.destroy()
  upstream.destroy()
}
