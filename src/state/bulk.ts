import { Cluster } from 'ioredis'
import type { RedisClient, RedisLink } from './redis.ts'

interface Waiter<Reply> {
  resolve(reply: Reply): void
  reject(error: unknown): void
}

type Script = (keyCount: number, ...keysAndArgument: (string | number)[]) => Promise<unknown[]>

/** Asked in one turn of the event loop, with one argument for all. */
interface Turn<Reply> {
  argument: number
  keys: string[]
  waiters: Waiter<Reply>[]
}

/**
 * One question to Redis about many keys: what is asked in one turn of the event loop goes as one command, whose cost here
 * and there is then shared by all who ask. In a Cluster, where a command knows only one slot, each goes by itself.
 */
export class Bulk<Reply> {
  readonly #client: RedisClient
  readonly #name: string
  /** The turn that is now, by its argument: there is hardly ever more than one. */
  #turn: Turn<Reply> | undefined

  /**
   * @param name of the command, no other's
   * @param lua gets all KEYS and one ARGV, and returns a list with an entry for each who asked, in their order
   */
  constructor(link: RedisLink, name: string, lua: string) {
    link.client.defineCommand(name, { lua })
    this.#client = link.client
    this.#name = name
  }

  /** @param keys as many each time @throws what Redis says, to all who asked in the same turn */
  ask(keys: string[], argument: number): Promise<Reply> {
    if (this.#client instanceof Cluster) return this.#send(keys, argument).then(([reply]) => reply as Reply)
    if (this.#turn?.argument !== argument) {
      const turn: Turn<Reply> = { argument, keys: [], waiters: [] }
      this.#turn = turn
      setImmediate(() => void this.#fly(turn))
    }
    const turn = this.#turn!
    turn.keys.push(...keys)
    return new Promise((resolve, reject) => turn.waiters.push({ resolve, reject }))
  }

  async #fly(turn: Turn<Reply>): Promise<void> {
    if (this.#turn === turn) this.#turn = undefined
    const { keys, argument, waiters } = turn
    try {
      const replies = await this.#send(keys, argument)
      for (const [i, { resolve }] of waiters.entries()) resolve(replies[i] as Reply)
    } catch (error) {
      for (const { reject } of waiters) reject(error)
    }
  }

  #send(keys: string[], argument: number): Promise<unknown[]> {
    const script = (this.#client as unknown as Record<string, Script>)[this.#name]!
    return script.call(this.#client, keys.length, ...keys, argument)
  }
}
