import { Cluster, Command, type Redis } from 'ioredis'
import type { RedisClient } from '../redis/redis-client.ts'
import { NO_ANSWER } from '../redis/redis-errors.ts'
import { type ConfirmationOptions, ConfirmedConnection } from './confirmed-connection.ts'

/** The pause before a client that has ended connects again, in ms. */
const RECONNECT_MS = 100

/**
 * A client whose commands on keys are answered only after replicas have confirmed them with `WAIT`. It has connections of its own,
 * because a connection that waits for replicas serves no other command meanwhile.
 */
export class ConfirmedWrites {
  readonly client: RedisClient
  readonly #options: ConfirmationOptions
  /** By command: the confirmation of the group with which it was last sent; undefined until it was sent. */
  readonly #confirmations = new WeakMap<Command, Promise<void> | undefined>()
  readonly #send: (command: Command) => unknown
  #isStopped = false

  /** @param client has not connected yet, and makes no pipelines: the order of its commands must be the order of the calls */
  constructor(client: RedisClient, options: ConfirmationOptions) {
    this.client = client
    this.#options = options
    if (client instanceof Cluster) client.on('+node', (node: Redis) => this.#confirm(node))
    else this.#confirm(client)
    this.#send = this.#interceptAnswers()
    const on = client.on.bind(client) as (event: string, listener: () => void) => void
    // The RedisConnection to the same Redis logs the outage.
    on('error', () => {})
    // A client that is told of a failover while it is connecting ends for good.
    on('end', () => this.#connectAgain())
    on('ready', () => this.#check())
  }

  /** Resolves when there is a connection, or when it is clear that there is none for now. */
  async connect(): Promise<void> {
    if (!this.#isStopped) await this.client.connect().catch(() => {})
  }

  stop(): void {
    this.#isStopped = true
    this.client.disconnect()
  }

  #connectAgain(): void {
    if (!this.#isStopped) setTimeout(() => void this.connect(), RECONNECT_MS).unref()
  }

  /** Sends the commands of one connection in groups. In a Cluster, each node has its own. */
  #confirm(connection: Redis): void {
    new ConfirmedConnection(connection, this.#options, this.#confirmations)
  }

  /** Replaces `sendCommand`, which every command goes through. Handshakes and commands without keys pass as they are. */
  #interceptAnswers(): (command: Command) => unknown {
    const client = this.client as { sendCommand(command: Command, ...rest: unknown[]): unknown }
    const send = client.sendCommand.bind(client)
    client.sendCommand = (command, ...rest) => {
      if (this.client.status !== 'ready' || command.getKeys().length === 0) return send(command, ...rest)
      this.#confirmations.set(command, undefined)
      return this.#inTime(() => {
        send(command, ...rest)
        return this.#answer(command)
      })
    }
    return client.sendCommand
  }

  /** Finds out whether there are enough replicas before the first write does, so that the log tells it at the start. */
  #check(): void {
    const command = new Command('exists', [this.#options.key])
    const answer = this.#send(command) as Promise<unknown>
    answer.catch(() => {})
  }

  async #answer(command: Command): Promise<unknown> {
    const reply: unknown = await command.promise
    const confirmation = this.#confirmations.get(command)
    if (!confirmation) throw new Error(`no replica was asked to confirm ${command.name}`)
    await confirmation
    return reply
  }

  /** @throws HttpError 503 after the timeout, if the last writes had too few replicas; else an error that says there was no answer */
  #inTime<T>(work: () => Promise<T>): Promise<T> {
    const { report, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      // Started before the timer of the command, so that its error says more.
      const timer = setTimeout(() => reject(report.problem ?? NO_ANSWER), timeoutMs)
      work()
        .then(resolve, reject)
        .finally(() => clearTimeout(timer))
    })
  }
}
