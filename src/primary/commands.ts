import type { AskOfWorker, Refusal, SessionView, SettingsView, Told, Vitals, WorkerView } from '../ipc/messages.ts'
import type { Entry, Journal } from './journal.ts'
import { anyOf } from './relay.ts'
import type { RollOutcome } from './rolls.ts'
import { serves } from './state.ts'
import type { Supervisor } from './supervisor.ts'

/** A command that cannot be done as asked; the message is for who asked. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** As HTTP has it. */
  readonly statusCode: number

  constructor(message: string, statusCode = 400) {
    super(message)
    this.statusCode = statusCode
  }
}

/** How a command went that workers had to do. */
export class Outcome implements Told {
  readonly ok: boolean
  readonly result: unknown
  readonly acks: Told['acks']
  readonly missing: Told['missing']

  constructor(ok: boolean, result: unknown, { acks, missing }: Told) {
    this.ok = ok
    this.result = result
    this.acks = acks
    this.missing = missing
  }
}

export interface Status {
  version: string
  pid: number
  uptimeSeconds: number
  generation: number
  desired: number
  scheduling: string
  state: string
  /** With what each said of itself last; nothing of one that has not said anything yet. */
  workers: (WorkerView & { uptimeSeconds: number } & Partial<Vitals>)[]
  lastReload: RollOutcome | null
  restarts: Readonly<Record<string, number>>
}

export interface CommandsOptions {
  supervisor: Supervisor
  journal: Journal
  version: string
  scheduling: string
  /** After `stop`, accept for so long, in ms. */
  lameDuckMs: number
  /** Connections that were accepted get so long to reach a worker, in ms. */
  drainMs: number
}

/** Workers that one primary may be asked for. */
const MAX_WORKERS = 999
/** A worker gets so long for what it does for the primary, in ms: its own wait for the others, and for Redis. */
const WORKER_MS = 10_000

/** What a primary can be told to do, one small function each: signals, the admin socket and tests all call these. */
export class Commands {
  readonly #options: CommandsOptions
  readonly #supervisor: Supervisor
  #lastReload: RollOutcome | null = null

  constructor(options: CommandsOptions) {
    this.#options = options
    this.#supervisor = options.supervisor
    this.#supervisor.on('roll', (outcome) => {
      this.#lastReload = outcome
    })
  }

  ping(): string {
    return 'pong'
  }

  status(): Status {
    const { state } = this.#supervisor
    const view = this.#supervisor.view()
    const uptime = (since: number) => Math.round((this.#supervisor.now() - since) / 1000)
    return {
      version: this.#options.version,
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      generation: state.generation,
      desired: state.desired,
      scheduling: this.#options.scheduling,
      state: view.state,
      workers: state.workers.map(({ id, slot, pid, generation, status, since }) => ({
        slot,
        pid,
        generation,
        status,
        uptimeSeconds: uptime(since),
        ...this.#supervisor.vitalsOf(id)
      })),
      lastReload: this.#lastReload,
      restarts: state.restarts
    }
  }

  /**
   * A rolling restart onto the code on disk. Asked for during one, it is remembered and follows.
   * @returns how it ended, when it has
   */
  reload(): Promise<RollOutcome> {
    const { phase, roll, lastGeneration } = this.#supervisor.state
    if (phase !== 'running') return Promise.reject(new CommandError('the service is draining'))
    const wanted = roll ? lastGeneration + 1 : undefined
    return new Promise((resolve) => {
      const settle = (outcome: RollOutcome) => {
        if (wanted !== undefined && outcome.generation < wanted && outcome.outcome !== 'stopped') return
        this.#supervisor.off('roll', settle)
        resolve(outcome)
      }
      this.#supervisor.on('roll', settle)
      this.#supervisor.dispatch({ type: 'reload' })
    })
  }

  /** Replaces the worker of a slot, a new one first; resolves when the old one has left. */
  recycle(slot: unknown): Promise<{ slot: number; pid: number }> {
    const { state } = this.#supervisor
    const old = state.workers.find((worker) => worker.slot === slot && serves(worker))
    if (!old || state.phase !== 'running') throw new CommandError(`slot: no worker serves ${JSON.stringify(slot)}`)
    return new Promise((resolve, reject) => {
      const look = () => {
        const { workers, phase } = this.#supervisor.state
        if (workers.some(({ id }) => id === old.id) && phase === 'running') return
        this.#supervisor.off('change', look)
        const next = workers.find((worker) => worker.slot === slot && serves(worker))
        if (next) resolve({ slot: next.slot, pid: next.pid })
        else reject(new CommandError(`slot ${old.slot}: its worker has left, and none serves in its place`))
      }
      this.#supervisor.on('change', look)
      this.#supervisor.dispatch({ type: 'recycle', id: old.id })
    })
  }

  /** @param change a count, or `+1` and `-1` */
  scale(change: string): { workers: number } {
    const number = /^[+-]?\d{1,3}$/.test(change) ? Number(change) : Number.NaN
    const workers = /^[+-]/.test(change) ? this.#supervisor.state.desired + number : number
    if (!(workers >= 1 && workers <= MAX_WORKERS)) {
      throw new CommandError(
        `workers: a number from 1 to ${MAX_WORKERS}, or +1 or -1 of it, not ${JSON.stringify(change)}`
      )
    }
    this.#supervisor.dispatch({ type: 'scale', desired: workers })
    return { workers }
  }

  why(args: WhyArguments): Entry[] {
    return readWhy(this.#options.journal, args)
  }

  /** One setting, or all, as a worker knows them. */
  settingsGet(key?: string): Promise<SettingsView> {
    return this.#askWorker('settings-get', key === undefined ? {} : { key })
  }

  /**
   * Sets it for every worker of every host. Not all of this host's may have it yet: those that are missing catch up by
   * themselves.
   * @param given a value, or text that somebody typed
   */
  async settingsSet(key: string, given: { value: unknown } | { text: string }): Promise<Outcome> {
    if ('value' in given && given.value === undefined) throw new CommandError('a value is missing')
    const { acks, missing, ...result } = await this.#askWorker('settings-set', { key, ...given })
    return new Outcome(true, result, { acks, missing })
  }

  /** What is cached in any worker of any host; not done when one of them did not say that it is. */
  async cacheClear(): Promise<Outcome> {
    const { unanswered, ...told } = await this.#askWorker('cache-clear', {})
    const ok = told.missing.length === 0 && unanswered === 0
    return new Outcome(ok, { workers: told.acks.length, unanswered }, told)
  }

  /** What is known of a user's sessions, on all hosts; none of it opens one. */
  async listSessions(user: unknown): Promise<SessionView[]> {
    return this.#askWorker('sessions-list', { user: name('user', user) })
  }

  /** Ends a user's sessions, on all hosts. @param handle of one of them; none: all */
  async endSessions(user: unknown, handle?: unknown): Promise<{ ended: number }> {
    const one = handle === undefined ? {} : { handle: name('handle', handle) }
    return this.#askWorker('sessions-end', { user: name('user', user), ...one })
  }

  /** Drains: readiness says no at once, the port is kept for the lame duck time, then every worker finishes and leaves. */
  async stop(): Promise<void> {
    if (this.#supervisor.state.phase !== 'running') return
    this.#supervisor.dispatch({ type: 'stop' })
    await sleep(this.#options.lameDuckMs)
    await Promise.race([this.#supervisor.closePort(), sleep(this.#options.drainMs)])
    this.#supervisor.dispatch({ type: 'port-closed' })
  }

  /** What needs Redis, a worker does. */
  async #askWorker<Q extends keyof AskOfWorker>(
    question: Q,
    args: AskOfWorker[Q]['args']
  ): Promise<Exclude<AskOfWorker[Q]['result'], Refusal>> {
    const worker = await anyOf(this.#supervisor.peers())
    if (!worker) throw new CommandError('no worker is ready to do it', 503)
    const answer = await worker.channel.ask(question, args, WORKER_MS)
    if (isRefusal(answer)) throw new CommandError(answer.refused.message, answer.refused.statusCode)
    return answer as Exclude<typeof answer, Refusal>
  }
}

export interface WhyArguments {
  slot?: unknown
  /** How many entries, the newest ones; 50 when not given. */
  limit?: unknown
}

/**
 * What the journal says, of one slot or of all; the command line asks it where no primary runs.
 * @throws CommandError for what is no slot or no limit
 */
export function readWhy(journal: Journal, { slot, limit = 50 }: WhyArguments): Entry[] {
  const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0
  if (slot !== undefined && !(isCount(slot) && slot < MAX_WORKERS)) {
    throw new CommandError(`slot: a number from 0 to ${MAX_WORKERS - 1}, not ${JSON.stringify(slot)}`)
  }
  if (!isCount(limit) || limit === 0) throw new CommandError(`limit: a number from 1, not ${JSON.stringify(limit)}`)
  return journal.read({ ...(slot !== undefined && { slot }), limit })
}
const isRefusal = (answer: unknown): answer is Refusal =>
  typeof answer === 'object' && answer !== null && 'refused' in answer

/** @throws CommandError */
function name(of: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new CommandError(`${of}: a name, not ${JSON.stringify(value) ?? 'nothing'}`)
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
