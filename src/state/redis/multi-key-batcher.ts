import { Cluster } from 'ioredis'
import { type Batch, Batcher, type Waiter } from './batcher.ts'
import type { BatchCommand } from './redis-client.ts'
import type { RedisClient, RedisConnection } from './redis-connection.ts'
import { NO_ANSWER } from './redis-errors.ts'

interface Query<Reply> extends Waiter {
  keys: string[]
  resolve(reply: Reply): void
  reject(error: unknown): void
}

/** Most queries of one command: Redis serves no other client while a command runs, and calls have a limit of arguments. */
const MAX_QUERIES = 1000

type Script = (keyCount: number, ...keysAndArguments: (string | number)[]) => Promise<unknown[]>

/**
 * Runs one Lua script for the keys of many callers. All queries that {@link Batcher} collects go to Redis as one command, so
 * its cost is shared. With a Redis Cluster, where one command can use keys of one hash slot only, each query is sent alone.
 */
export class MultiKeyBatcher<Reply> {
  readonly #connection: RedisConnection
  readonly #client: RedisClient
  readonly #name: BatchCommand
  readonly #scriptArguments: number[]
  readonly #batcher = new Batcher<Query<Reply>>((batch) => this.#sendBatch(batch), MAX_QUERIES)

  /**
   * @param client `connection.client`, or `connection.writes` for a script that writes what must be kept
   * @param name of the command; every instance on one connection has its own
   * @param lua gets all keys as KEYS and `scriptArguments` as ARGV, and returns a list with one entry per query, in their order
   */
  constructor(
    connection: RedisConnection,
    client: RedisClient,
    name: BatchCommand,
    lua: string,
    ...scriptArguments: number[]
  ) {
    client.defineCommand(name, { lua })
    this.#connection = connection
    this.#client = client
    this.#name = name
    this.#scriptArguments = scriptArguments
  }

  /**
   * Sends one query with the next batch.
   * @param keys the same number of keys in every call
   * @returns the entry of the script's list that belongs to this query
   * @throws the error of Redis, which all queries of the batch get; an error when there was no answer within the timeout of the
   *   connection, which starts with this call
   */
  query(keys: string[]): Promise<Reply> {
    if (this.#client instanceof Cluster) return this.#send(keys).then(([reply]) => reply as Reply)
    const deadline = performance.now() + this.#connection.timeoutMs
    return new Promise((resolve, reject) => {
      const expire = () => reject(this.#connection.cause ?? NO_ANSWER)
      this.#batcher.add({ keys, resolve, reject, deadline, expire })
    })
  }

  #sendBatch(batch: Batch<Query<Reply>>): Promise<() => void> {
    return this.#send(batch.items.flatMap(({ keys }) => keys)).then(
      (replies) => () => batch.settle(({ resolve }, i) => resolve(replies[i] as Reply)),
      (error) => () => batch.settle(({ reject }) => reject(error))
    )
  }

  #send(keys: string[]): Promise<unknown[]> {
    const script = (this.#client as unknown as Record<string, Script>)[this.#name]!
    return script.call(this.#client, keys.length, ...keys, ...this.#scriptArguments)
  }
}
