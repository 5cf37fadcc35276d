import { HttpError, stateUnavailable } from '../../common/errors.ts'
import type { Ack, Broadcast, DeliveryReport } from '../../ipc/messages.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { channelOf, type Subscription } from '../redis/subscription.ts'
import { toJson } from './json-payload.ts'

export interface BroadcastOptions {
  /** `host`: the workers of this host. `all`: the workers of every host on this Redis. Default `host`. */
  scope?: 'host' | 'all'
  /** How long to wait for acknowledgements, in ms; 1 to 60,000, default 2000. */
  deadlineMs?: number
}

/** The workers whose handlers have run (`acks`), and those whose handlers failed or that did not answer (`missing`). */
export interface BroadcastResult extends DeliveryReport {
  /** Number of workers of other hosts that Redis reached and that did not answer. Their names are not known. */
  unanswered: number
}

/** Handles a broadcast. It throws, or rejects, when it could not do its work. */
export type BroadcastHandler = (payload: unknown) => unknown

export interface BroadcastsDeps {
  connection: RedisConnection
  subscription: Subscription
  /** This worker. */
  self: Ack
  /** Identifies the primary of this worker. */
  instance: string
  /** Sends a broadcast to the workers of this host. */
  relay: (message: Broadcast & { deadlineMs: number }) => Promise<DeliveryReport>
}

/**
 * Publishes, and returns the number of workers of other hosts that receive it. The workers of this host receive it too, and
 * subscribe to their own channel for answers. A script, so that no worker subscribes between the two counts.
 */
const PUBLISH = `
local reached = redis.call('PUBLISH', ARGV[1], ARGV[2])
return reached - redis.call('PUBSUB', 'NUMSUB', ARGV[3])[2]`

type Client = RedisClient & { musterPublish(channel: string, message: string, ours: string): Promise<number> }

/** A broadcast on its way to the workers of other hosts. `from` identifies the sender's primary. */
type Request = Broadcast & { id: string; from: string }
/** A worker's answer. `why`: its handler failed, with this message. */
type Answer = Ack & { id: string; why?: string }

const DEFAULT_DEADLINE_MS = 2000
const MAX_DEADLINE_MS = 60_000

/**
 * Sends a message to every worker and learns which ones have handled it. The workers of this host get it over IPC, which is exact;
 * those of other hosts get it over Redis, as far as they are subscribed.
 */
export class Broadcasts {
  readonly #deps: BroadcastsDeps
  readonly #client: Client
  readonly #channel: string
  readonly #handlers = new Map<string, Set<BroadcastHandler>>()
  /** By the id of a request: receives the answers from other hosts. */
  readonly #pending = new Map<string, (answer: Answer) => void>()
  #lastId = 0

  constructor(deps: BroadcastsDeps) {
    const { connection, subscription, instance } = deps
    this.#deps = deps
    connection.client.defineCommand('musterPublish', { numberOfKeys: 0, lua: PUBLISH })
    this.#client = connection.client as Client
    this.#channel = channelOf(connection, 'broadcast')
    subscription.on(this.#channel, (text) => this.#answer(JSON.parse(text) as Request))
    subscription.on(this.#answerChannel(instance), (text) => {
      const answer = JSON.parse(text) as Answer
      this.#pending.get(answer.id)?.(answer)
    })
  }

  /** Adds a handler. @returns a function that removes it */
  on(topic: string, handler: BroadcastHandler): () => void {
    const handlers = this.#handlers.get(topic) ?? new Set()
    this.#handlers.set(topic, handlers.add(handler))
    return () => void handlers.delete(handler)
  }

  /** Runs the topic's handlers in this worker, if there are any. Rejects when one fails. */
  async deliver({ topic, payload }: Broadcast): Promise<void> {
    const value: unknown = JSON.parse(payload)
    await Promise.all([...(this.#handlers.get(topic) ?? [])].map(async (handler) => handler(value)))
  }

  /**
   * Resolves when every worker has answered, this one included, or at the deadline.
   * @param payload any JSON, at most 64 KiB
   * @throws HttpError 400 for invalid arguments; 503 for scope `all` while Redis is away
   */
  async send(topic: string, payload: unknown, options: BroadcastOptions = {}): Promise<BroadcastResult> {
    const { scope = 'host', deadlineMs = DEFAULT_DEADLINE_MS } = options
    if (typeof topic !== 'string' || topic === '')
      throw invalid('The topic of a broadcast must be text that is not empty')
    if (scope !== 'host' && scope !== 'all') throw invalid('The scope of a broadcast must be "host" or "all"')
    if (!(deadlineMs >= 1 && deadlineMs <= MAX_DEADLINE_MS)) {
      throw invalid(`The deadline of a broadcast must be 1 to ${MAX_DEADLINE_MS} ms`)
    }
    const message = { topic, payload: toJson(payload, 'The payload of a broadcast'), deadlineMs }
    const { connection, subscription, relay } = this.#deps
    // Without Redis there are no other hosts.
    if (scope === 'host' || connection.isOff) return { ...(await relay(message)), unanswered: 0 }
    if (!connection.up || !subscription.up) throw stateUnavailable(connection.cause)
    const [here, elsewhere] = await Promise.all([relay(message), this.#sendToOtherHosts(message)])
    return {
      acks: [...here.acks, ...elsewhere.acks],
      missing: [...here.missing, ...elsewhere.missing],
      unanswered: elsewhere.unanswered
    }
  }

  async #sendToOtherHosts({ deadlineMs, ...broadcast }: Broadcast & { deadlineMs: number }): Promise<BroadcastResult> {
    const from = this.#deps.instance
    const request: Request = { ...broadcast, id: `${process.pid}:${++this.#lastId}`, from }
    const answers = new AnswerCollector(deadlineMs)
    this.#pending.set(request.id, (answer) => answers.add(answer))
    try {
      const message = JSON.stringify(request)
      answers.expect(await this.#client.musterPublish(this.#channel, message, this.#answerChannel(from)))
      return await answers.report()
    } catch (error) {
      throw stateUnavailable(error)
    } finally {
      answers.stop()
      this.#pending.delete(request.id)
    }
  }

  /** Answers the request of another host's worker. One of this host has already arrived over IPC. */
  async #answer({ id, from, ...broadcast }: Request): Promise<void> {
    if (from === this.#deps.instance) return
    const { host, slot, pid } = this.#deps.self
    const answer: Answer = { id, host, slot, pid }
    try {
      await this.deliver(broadcast)
    } catch (error) {
      answer.why = error instanceof Error ? error.message : String(error)
    }
    await this.#client.publish(this.#answerChannel(from), JSON.stringify(answer)).catch(() => {})
  }

  /** Returns the channel of the answers to the workers of one primary. */
  #answerChannel(instance: string): string {
    return `${this.#channel}:${instance}`
  }
}

/** Collects the answers to one request until all have come, or until the deadline. */
class AnswerCollector {
  readonly #answers: Answer[] = []
  #expected = Number.POSITIVE_INFINITY
  #settle = () => {}
  readonly #settled = new Promise<void>((resolve) => {
    this.#settle = resolve
  })
  readonly #timer: NodeJS.Timeout

  constructor(deadlineMs: number) {
    this.#timer = setTimeout(this.#settle, deadlineMs)
  }

  add(answer: Answer): void {
    if (this.#answers.push(answer) >= this.#expected) this.#settle()
  }

  expect(count: number): void {
    this.#expected = count
    if (this.#answers.length >= count) this.#settle()
  }

  async report(): Promise<BroadcastResult> {
    await this.#settled
    const answers = this.#answers
    return {
      acks: answers.filter(({ why }) => why === undefined).map(({ host, slot, pid }) => ({ host, slot, pid })),
      missing: answers.flatMap(({ host, slot, pid, why }) => (why === undefined ? [] : { host, slot, pid, why })),
      unanswered: Math.max(0, this.#expected - answers.length)
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

const invalid = (message: string) => new HttpError(400, 'INVALID_BROADCAST', message)
