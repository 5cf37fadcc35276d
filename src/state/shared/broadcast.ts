import { HttpError, stateUnavailable } from '../../common/errors.ts'
import type { Ack, Broadcast, DeliveryReport } from '../../ipc/messages.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { channelOf, type Subscription } from '../redis/subscription.ts'
import { toJson } from './json-payload.ts'

export interface BroadcastOptions {
  /** The workers of this host, or of all that use this Redis; default `host`. */
  scope?: 'host' | 'all'
  /** How long to wait for them, in ms; default 2000. */
  deadlineMs?: number
}

/** Who ran its handlers, whose failed or gave no answer. */
export interface BroadcastResult extends DeliveryReport {
  /** How many workers of other hosts Redis reached that gave no answer; their names are not known. */
  unanswered: number
}

/** Throws, or rejects, when it could not do what the broadcast is about. */
export type BroadcastHandler = (payload: unknown) => unknown

export interface BroadcastsDeps {
  link: RedisConnection
  subscription: Subscription
  self: Ack
  /** The primary that this worker is of. */
  instance: string
  /** To the workers of this host. */
  relay: (message: Broadcast & { deadlineMs: number }) => Promise<DeliveryReport>
}

/**
 * Publishes, and says how many workers of other hosts that reaches: those of this host are among the receivers, and
 * hear their own answers too. In a script, so that nobody comes or goes between the two counts.
 */
const PUBLISH = `
local reached = redis.call('PUBLISH', ARGV[1], ARGV[2])
return reached - redis.call('PUBSUB', 'NUMSUB', ARGV[3])[2]`

type Client = RedisClient & { musterPublish(channel: string, message: string, ours: string): Promise<number> }

/** A request to the workers of other hosts, and one's answer to it. */
type Request = Broadcast & { id: string; from: string }
type Answer = Ack & { id: string; why?: string }

const DEADLINE_MS = 2000
const MAX_DEADLINE_MS = 60_000

/**
 * Tells every worker something at once and learns who heard it: those of this host over IPC, which is exact, those of
 * others over Redis, as far as they are subscribed.
 */
export class Broadcasts {
  readonly #deps: BroadcastsDeps
  readonly #client: Client
  readonly #channel: string
  readonly #handlers = new Map<string, Set<BroadcastHandler>>()
  /** Who waits for answers from other hosts, by the request's id. */
  readonly #waiting = new Map<string, (answer: Answer) => void>()
  #lastId = 0

  constructor(deps: BroadcastsDeps) {
    this.#deps = deps
    deps.link.client.defineCommand('musterPublish', { numberOfKeys: 0, lua: PUBLISH })
    this.#client = deps.link.client as Client
    this.#channel = channelOf(deps.link, 'broadcast')
    deps.subscription.on(this.#channel, (text) => this.#hear(JSON.parse(text) as Request))
    deps.subscription.on(this.#answersTo(deps.instance), (text) => {
      const answer = JSON.parse(text) as Answer
      this.#waiting.get(answer.id)?.(answer)
    })
  }

  /** @returns ends it */
  on(topic: string, handler: BroadcastHandler): () => void {
    const handlers = this.#handlers.get(topic) ?? new Set()
    this.#handlers.set(topic, handlers.add(handler))
    return () => void handlers.delete(handler)
  }

  /** Runs the handlers of the topic; where there are none, there is nothing to do. Rejects when one fails. */
  async deliver({ topic, payload }: Broadcast): Promise<void> {
    const value: unknown = JSON.parse(payload)
    await Promise.all([...(this.#handlers.get(topic) ?? [])].map(async (handler) => handler(value)))
  }

  /**
   * Resolves when all have answered, or at the deadline. This worker is one of them.
   * @throws HttpError 400 for what cannot be sent, 503 for other hosts while Redis is away
   */
  async send(topic: string, payload: unknown, options: BroadcastOptions = {}): Promise<BroadcastResult> {
    const { scope = 'host', deadlineMs = DEADLINE_MS } = options
    if (typeof topic !== 'string' || topic === '') throw invalid('A broadcast needs a topic: text that is not empty')
    if (scope !== 'host' && scope !== 'all') throw invalid('The scope of a broadcast is "host" or "all"')
    if (!(deadlineMs >= 1 && deadlineMs <= MAX_DEADLINE_MS)) {
      throw invalid(`The deadline of a broadcast is from 1 to ${MAX_DEADLINE_MS} ms`)
    }
    const message = { topic, payload: toJson(payload, 'The payload of a broadcast'), deadlineMs }
    if (scope === 'host') return { ...(await this.#deps.relay(message)), unanswered: 0 }
    const { link, subscription, relay } = this.#deps
    if (!link.up || !subscription.up) throw stateUnavailable(link.cause)
    const [here, elsewhere] = await Promise.all([relay(message), this.#tellOthers(message)])
    return {
      acks: [...here.acks, ...elsewhere.acks],
      missing: [...here.missing, ...elsewhere.missing],
      unanswered: elsewhere.unanswered
    }
  }

  async #tellOthers({ deadlineMs, ...broadcast }: Broadcast & { deadlineMs: number }): Promise<BroadcastResult> {
    const from = this.#deps.instance
    const id = `${process.pid}:${++this.#lastId}`
    const answers: Answer[] = []
    let expected = Number.POSITIVE_INFINITY
    let settle = () => {}
    const all = new Promise<void>((resolve) => {
      settle = () => resolve()
    })
    const timer = setTimeout(settle, deadlineMs)
    this.#waiting.set(id, (answer) => {
      if (answers.push(answer) >= expected) settle()
    })
    try {
      const request: Request = { ...broadcast, id, from }
      expected = await this.#client.musterPublish(this.#channel, JSON.stringify(request), this.#answersTo(from))
      if (answers.length < expected) await all
      return {
        acks: answers.filter(({ why }) => why === undefined).map(({ host, slot, pid }) => ({ host, slot, pid })),
        missing: answers.flatMap(({ host, slot, pid, why }) => (why === undefined ? [] : { host, slot, pid, why })),
        unanswered: Math.max(0, expected - answers.length)
      }
    } catch (error) {
      throw stateUnavailable(error)
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
  }

  /** A request of a worker somewhere: of this host's the primary has brought it already. */
  async #hear({ id, from, ...broadcast }: Request): Promise<void> {
    if (from === this.#deps.instance) return
    const { host, slot, pid } = this.#deps.self
    const answer: Answer = { id, host, slot, pid }
    try {
      await this.deliver(broadcast)
    } catch (error) {
      answer.why = error instanceof Error ? error.message : String(error)
    }
    await this.#client.publish(this.#answersTo(from), JSON.stringify(answer)).catch(() => {})
  }

  /** The channel of what is answered to the workers of a primary. */
  #answersTo(instance: string): string {
    return `${this.#channel}:${instance}`
  }
}

const invalid = (message: string) => new HttpError(400, 'INVALID_BROADCAST', message)
