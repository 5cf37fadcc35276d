import { Cluster } from 'ioredis'
import { type Batch, Batcher, type Waiter } from './batcher.ts'
import type { Gathered } from './redis-client.ts'
import type { RedisClient, RedisConnection } from './redis-connection.ts'
import { NO_ANSWER } from './redis-errors.ts'

interface Question<Reply> extends Waiter {
  keys: string[]
  resolve(reply: Reply): void
  reject(error: unknown): void
}

/** Of one command: Redis does nothing else while it runs, and a call may not have arguments without end. */
const MOST = 1000

type Script = (keyCount: number, ...keysAndArguments: (string | number)[]) => Promise<unknown[]>

/**
 * One question to Redis about many keys: what {@link Batcher} gathers goes as one command, whose cost here and there is then
 * shared by all who ask. In a Cluster, where a command knows only one slot, each goes by itself.
 */
export class MultiKeyBatcher<Reply> {
  readonly #link: RedisConnection
  readonly #client: RedisClient
  readonly #name: Gathered
  readonly #arguments: number[]
  readonly #batches = new Batcher<Question<Reply>>((batch) => this.#put(batch), MOST)

  /**
   * @param name of the command, no other's: the client knows that it is a batch by itself
   * @param lua gets all KEYS and all `args` as ARGV, and returns a list with an entry for each who asked, in their order
   */
  constructor(link: RedisConnection, name: Gathered, lua: string, ...args: number[]) {
    link.client.defineCommand(name, { lua })
    this.#link = link
    this.#client = link.client
    this.#name = name
    this.#arguments = args
  }

  /**
   * @param keys as many each time
   * @throws what Redis says, to all who asked in the same batch; an error when there was no answer within the timeout of
   *   the link, which counts from this call
   */
  ask(keys: string[]): Promise<Reply> {
    if (this.#client instanceof Cluster) return this.#send(keys).then(([reply]) => reply as Reply)
    const deadline = performance.now() + this.#link.timeoutMs
    return new Promise((resolve, reject) => {
      const expire = () => reject(this.#link.cause ?? NO_ANSWER)
      this.#batches.add({ keys, resolve, reject, deadline, expire })
    })
  }

  #put(batch: Batch<Question<Reply>>): Promise<() => void> {
    return this.#send(batch.items.flatMap(({ keys }) => keys)).then(
      (replies) => () => batch.settle(({ resolve }, i) => resolve(replies[i] as Reply)),
      (error) => () => batch.settle(({ reject }) => reject(error))
    )
  }

  #send(keys: string[]): Promise<unknown[]> {
    const script = (this.#client as unknown as Record<string, Script>)[this.#name]!
    return script.call(this.#client, keys.length, ...keys, ...this.#arguments)
  }
}
