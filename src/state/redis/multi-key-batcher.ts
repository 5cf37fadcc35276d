import { Cluster } from 'ioredis'
import { type Batch, Batcher, type Waiter } from './batcher.ts'
import type { RedisClient, RedisConnection } from './redis-connection.ts'
import { NO_ANSWER } from './redis-errors.ts'

interface Query<Reply> extends Waiter {
  keys: string[]
  argument: string | undefined
  resolve(reply: Reply): void
  reject(error: unknown): void
}

/** Most queries of one command: Redis serves no other client while a command runs, and calls have a limit of arguments. */
const MAX_QUERIES = 1000

type Script = (keyCount: number, ...keysAndArguments: (string | number)[]) => Promise<unknown[]>

export interface BatchScript<Reply> {
  /** `connection.client`, or `connection.writes` for a script that writes what must be kept. */
  client: RedisClient
  /** Name of the command; every instance on one connection has its own. */
  name: string
  /** Returns a list with one entry per query, in their order. */
  lua: string
  /** The first of ARGV, before the arguments of queries. */
  scriptArguments?: (string | number)[]
  /** The last of KEYS, behind those of queries. Not with a Redis Cluster. */
  commonKeys?: string[]
  /** Called with the list of each batch. */
  onReplies?(replies: readonly Reply[]): void
}

/**
 * Runs one Lua script for the keys of many callers. All queries that {@link Batcher} collects go to Redis as one command, so
 * its cost is shared. With a Redis Cluster, where one command can use keys of one hash slot only, each query is sent alone.
 */
export class MultiKeyBatcher<Reply> {
  readonly #connection: RedisConnection
  readonly #script: BatchScript<Reply>
  readonly #batcher = new Batcher<Query<Reply>>((batch) => this.#sendBatch(batch), MAX_QUERIES)

  constructor(connection: RedisConnection, script: BatchScript<Reply>) {
    script.client.defineCommand(script.name, { lua: script.lua })
    this.#connection = connection
    this.#script = script
  }

  /**
   * Sends one query with the next batch.
   * @param keys the same number of keys in every call
   * @param argument in every call, or in none
   * @returns the entry of the script's list that belongs to this query
   * @throws the error of Redis, which all queries of the batch get; an error when there was no answer within the timeout of the
   *   connection, which starts with this call
   */
  query(keys: string[], argument?: string): Promise<Reply> {
    if (this.#script.client instanceof Cluster)
      return this.#send([{ keys, argument }]).then(([reply]) => reply as Reply)
    const deadline = performance.now() + this.#connection.timeoutMs
    return new Promise((resolve, reject) => {
      const expire = () => reject(this.#connection.cause ?? NO_ANSWER)
      this.#batcher.add({ keys, argument, resolve, reject, deadline, expire })
    })
  }

  #sendBatch(batch: Batch<Query<Reply>>): Promise<() => void> {
    return this.#send(batch.items).then(
      (replies) => () => batch.settle(({ resolve }, i) => resolve(replies[i]!)),
      (error) => () => batch.settle(({ reject }) => reject(error))
    )
  }

  async #send(queries: readonly Pick<Query<Reply>, 'keys' | 'argument'>[]): Promise<Reply[]> {
    const { client, name, scriptArguments = [], commonKeys = [], onReplies } = this.#script
    const run = (client as unknown as Record<string, Script>)[name]!
    const keys = [...queries.flatMap((query) => query.keys), ...commonKeys]
    const queryArguments = queries.flatMap(({ argument }) => argument ?? [])
    const replies = (await run.call(client, keys.length, ...keys, ...scriptArguments, ...queryArguments)) as Reply[]
    onReplies?.(replies)
    return replies
  }
}
