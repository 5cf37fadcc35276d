import { Command, type Redis } from 'ioredis'
import type { ConfirmationReport } from './confirmation-report.ts'

/** Redis stops waiting for its replicas after this part of the timeout, so that its answer still arrives in time. */
const WAIT_PART = 0.9
/** Replies for a slot of a Cluster that is moving. */
const SLOT_MOVES = /^(MOVED|ASK|TRYAGAIN)\b/

export interface ConfirmationOptions {
  /** Number of replicas that must have a write before it is answered. */
  replicas: number
  /** Longest time of a command with its confirmation, in ms. */
  timeoutMs: number
  report: ConfirmationReport
  /** A key that may be looked for, to find out whether there are enough replicas. */
  key: string
}

interface Waiting {
  command: Command
  /** Whether the command is for a slot that this node is still importing. */
  isAsking: boolean
}

/**
 * One connection to Redis that sends commands in groups, one group at a time: the commands, a write, and `WAIT` for all of them.
 * Commands that arrive meanwhile form the next group, so the load follows the number of round trips, not of commands.
 *
 * The write at the end makes `WAIT` cover what the commands only read, such as a session that another worker has just ended:
 * since Redis 7.2, `WAIT` looks at the connection's own writes only.
 */
export class ConfirmedConnection {
  readonly #connection: Redis
  readonly #send: (command: Command) => unknown
  readonly #options: ConfirmationOptions
  readonly #confirmations: WeakMap<Command, Promise<void> | undefined>
  #waiting: Waiting[] = []
  #isRunning = false
  #isAsking = false

  /** @param confirmations has the commands to be confirmed, and gets the confirmation of each when it is sent */
  constructor(
    connection: Redis,
    options: ConfirmationOptions,
    confirmations: WeakMap<Command, Promise<void> | undefined>
  ) {
    this.#connection = connection
    this.#options = options
    this.#confirmations = confirmations
    const send = connection.sendCommand.bind(connection)
    this.#send = send
    connection.sendCommand = (command, stream) => {
      if (command.name === 'asking') return this.#ask(command)
      return confirmations.has(command) ? this.#add(command) : send(command, stream)
    }
  }

  /** `ASKING` concerns the next command of the connection, so it must leave together with it. */
  #ask(command: Command): unknown {
    this.#isAsking = true
    command.resolve(Buffer.from('OK'))
    return command.promise
  }

  #add(command: Command): unknown {
    command.setTimeout(this.#options.timeoutMs)
    this.#waiting.push({ command, isAsking: this.#isAsking })
    this.#isAsking = false
    if (!this.#isRunning) {
      this.#isRunning = true
      process.nextTick(() => void this.#run())
    }
    return command.promise
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.filter(({ command }) => !command.isSettled)
      this.#waiting = []
      if (group.length > 0) await this.#sendGroup(group)
    }
    this.#isRunning = false
  }

  /** Resolves when the group is confirmed, or when it is clear that it will not be. */
  async #sendGroup(group: Waiting[]): Promise<void> {
    const { report } = this.#options
    const { stream } = this.#connection
    stream?.cork()
    for (const { command, isAsking } of group) {
      if (isAsking) this.#sendQuietly('asking')
      this.#send(command)
    }
    const confirmation = this.#sendWait(group[0]!.command)
    for (const { command } of group) this.#confirmations.set(command, confirmation)
    stream?.uncork()
    await confirmation.then(
      () => report.confirmed(),
      (error: Error) => report.unconfirmed(error)
    )
  }

  #sendQuietly(name: string): void {
    const command = new Command(name)
    command.promise.catch(() => {})
    this.#send(command)
  }

  /** @throws HttpError 503 when too few replicas have confirmed; an error of Redis or of the connection */
  async #sendWait(first: Command): Promise<void> {
    const { replicas, timeoutMs, report } = this.#options
    const mark = new Command('set', [markKey(first), '1', 'PX', '1'])
    const wait = new Command('wait', [replicas, Math.ceil(WAIT_PART * timeoutMs)])
    this.#send(mark)
    this.#send(wait)
    const [confirmed] = await Promise.all([wait.promise, mark.promise.catch(ignoreMovingSlot)])
    if (Number(confirmed) < replicas) throw report.tooFew(Number(confirmed))
  }
}

/** Returns the key of the last write of a group. In a Cluster, it is in the slot of the command, which the node has. */
function markKey(command: Command): string {
  const key = String(command.getKeys()[0])
  return key.includes('{') ? `${key}:confirmed` : `{${key}}:confirmed`
}

function ignoreMovingSlot(error: Error): void {
  if (!SLOT_MOVES.test(error.message)) throw error
}
