import { hostname } from 'node:os'
import { CommandError } from '../../admin/command-error.ts'
import type { Entry, Journal } from '../../admin/journal.ts'
import type { ArgsOf } from '../../admin/registry.ts'
import type {
  Caller,
  DeliveryReport,
  Heartbeat,
  Refusal,
  SessionView,
  SettingsView,
  WorkerRequests,
  WorkerView
} from '../../ipc/messages.ts'
import { Profiler } from '../health/profiler.ts'
import { isAnsweringAdminRequest, liveIn, type State, serves, slotsOf } from '../policy/types.ts'
import type { RolloutOutcome } from '../rollout/rollout.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { ackOf, WorkerQueries } from '../workers/worker-queries.ts'

/** How a command went, with whom it concerned; where nothing is said of `ok`, it went well. */
export class Outcome {
  readonly result: unknown
  readonly ok: boolean
  readonly acks: DeliveryReport['acks']
  readonly missing: DeliveryReport['missing']

  constructor(
    result: unknown,
    { acks = [], missing = [], ok = true }: Partial<DeliveryReport> & { ok?: boolean } = {}
  ) {
    this.result = result
    this.ok = ok
    this.acks = acks
    this.missing = missing
  }
}

export interface Status {
  version: string
  /** Its name: behind a balancer the next answer may be another's. */
  host: string
  pid: number
  uptimeSeconds: number
  generation: number
  desired: number
  scheduling: string
  state: string
  /** With what each said of itself last; nothing of one that has not said anything yet. */
  workers: (WorkerView & { uptimeSeconds: number } & Partial<Heartbeat>)[]
  lastReload: RolloutOutcome | null
  restarts: Readonly<Record<string, number>>
}

export interface CommandsOptions {
  supervisor: Supervisor
  journal: Journal
  /** Who gave which command. */
  audit: Journal
  version: string
  scheduling: string
  /** The variables in force, without secrets. */
  variables: Readonly<Record<string, unknown>>
  /** Where profiles and snapshots are written. */
  runDir: string
  /** More workers are refused. */
  maxWorkers: number
  /** A worker gets so long for what it is asked, in ms: its own wait for the others, and for Redis. */
  askMs: number
  /** A new worker gets so long to be ready, in ms. */
  bootMs: number
  /** After `stop`, accept for so long, in ms. */
  lameDuckMs: number
  /** Connections that were accepted get so long to reach a worker, in ms; a worker that leaves, to drain. */
  drainMs: number
}

/** What a primary can be told to do, one function a command: whichever door it came through. */
export class Commands {
  readonly #options: CommandsOptions
  readonly #supervisor: Supervisor
  readonly #fleet: WorkerQueries
  readonly #diagnostician: Profiler
  #lastReload: RolloutOutcome | null = null

  constructor(options: CommandsOptions) {
    this.#options = options
    this.#supervisor = options.supervisor
    this.#fleet = new WorkerQueries(options.supervisor)
    this.#diagnostician = new Profiler(options)
    this.#supervisor.on('roll', (outcome) => {
      this.#lastReload = outcome
    })
  }

  async ping(): Promise<Outcome> {
    return new Outcome('pong', await this.#fleet.ping())
  }

  async status(): Promise<Outcome> {
    const { missing } = await this.#fleet.ping()
    return new Outcome(this.look(), { missing })
  }

  /** The status as it is known here: nobody is asked. */
  look(): Status {
    const { state } = this.#supervisor
    const uptime = (since: number) => Math.round((this.#supervisor.now() - since) / 1000)
    return {
      version: this.#options.version,
      host: hostname(),
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      generation: state.generation,
      desired: state.desired,
      scheduling: this.#options.scheduling,
      state: this.#supervisor.view().state,
      workers: state.workers.map(({ id, slot, pid, generation, status, since }) => ({
        slot,
        pid,
        generation,
        status,
        uptimeSeconds: uptime(since),
        ...this.#supervisor.pool.of(id)?.heartbeat
      })),
      lastReload: this.#lastReload,
      restarts: state.restarts
    }
  }

  /**
   * A rolling restart onto the code on disk; answered with how it ended. During one, a command joins it; a signal, which
   * nobody waits for, is remembered: another follows.
   */
  async reload(_: object, { transport }: Pick<Caller, 'transport'>): Promise<Outcome> {
    const { phase, rollout, lastGeneration } = this.#supervisor.state
    if (phase !== 'running') throw new CommandError('the service is draining', 409)
    const joined = rollout !== undefined && transport !== 'signal'
    const generation = joined ? rollout.generation : lastGeneration + 1
    const ended = new Promise<RolloutOutcome>((resolve) => {
      const settle = (outcome: RolloutOutcome) => {
        if (outcome.generation < generation && outcome.outcome !== 'stopped') return
        this.#supervisor.off('roll', settle)
        resolve(outcome)
      }
      this.#supervisor.on('roll', settle)
    })
    if (!joined) this.#supervisor.dispatch({ type: 'reload' })
    const outcome = await ended
    return new Outcome(joined ? { ...outcome, joined } : outcome, {
      ...this.#fleet.serving(),
      ok: outcome.outcome === 'done'
    })
  }

  /** Answered when so many workers serve, and no other; not done when a new one fails, or another count is asked for. */
  async scale({ workers: asked }: ArgsOf<'scale'>): Promise<Outcome> {
    const { maxWorkers, bootMs, drainMs } = this.#options
    const { state } = this.#supervisor
    const workers = typeof asked === 'string' ? state.desired + Number(asked) : asked
    if (workers < 1 || workers > maxWorkers) {
      throw new CommandError(`workers: must be a number from 1 to ${maxWorkers}, or +1 or -1 of it, not ${workers}`)
    }
    if (state.phase !== 'running') throw new CommandError('the service is draining', 409)
    this.#supervisor.dispatch({ type: 'scale', desired: workers })
    const failed = (now: State, slot: number) => (now.slots[slot]?.failures ?? 0) > (state.slots[slot]?.failures ?? 0)
    await this.#fleet.until((now) => {
      if (now.desired !== workers || now.phase !== 'running') return true
      const wanted = slotsOf(now).every((slot) => liveIn(now, slot).some(serves) || failed(now, slot))
      return wanted && !now.workers.some((worker) => worker.slot >= workers && !isAnsweringAdminRequest(worker))
    }, bootMs + drainMs)
    const { desired, phase } = this.#supervisor.state
    if (desired !== workers) throw new CommandError(`another command asked for ${desired} workers meanwhile`, 409)
    if (phase !== 'running') throw new CommandError('the service drains meanwhile', 409)
    const told = this.#fleet.serving()
    return new Outcome({ workers }, { ...told, ok: told.missing.length === 0 })
  }

  /** Answered when the new worker serves and the old one has left. */
  async recycle({ slot }: ArgsOf<'recycle'>): Promise<Outcome> {
    const next = await this.#fleet.replace(this.#fleet.inSlot(slot))
    return new Outcome({ slot, pid: next.pid }, { acks: [next] })
  }

  /** Drains: readiness says no at once, the port is kept for the lame duck time, then every worker finishes and leaves. */
  stop(): null {
    void this.#stop()
    return null
  }

  why(args: ArgsOf<'why'>): Entry[] {
    return readWhy(this.#options.journal, args)
  }

  journal(args: ArgsOf<'journal'>): Entry[] {
    return readWhy(this.#options.journal, args)
  }

  audit(args: ArgsOf<'audit'>): Entry[] {
    return readWhy(this.#options.audit, args)
  }

  config() {
    return this.#options.variables
  }

  /** One setting, or all, as a worker knows them. */
  settingsGet({ key }: ArgsOf<'settings-get'>): Promise<SettingsView> {
    return this.#askWorker('settings-get', key === undefined ? {} : { key })
  }

  /** Not all workers of this host may have it yet: those that are missing catch up by themselves. */
  async settingsSet({ key, value, text }: ArgsOf<'settings-set'>): Promise<Outcome> {
    if (value === undefined && text === undefined) throw new CommandError('a value is missing')
    const { acks, missing, ...result } = await this.#askWorker('settings-set', {
      key,
      ...(text === undefined ? { value } : { text })
    })
    return new Outcome(result, { acks, missing })
  }

  logLevel({ level }: ArgsOf<'log-level'>): Promise<Outcome> {
    return this.settingsSet({ key: 'logLevel', value: level })
  }

  /** What is cached in any worker of any host; not done when one of them did not say that it is. */
  async cacheClear(): Promise<Outcome> {
    const { unanswered, ...told } = await this.#askWorker('cache-clear', {})
    const ok = told.missing.length === 0 && unanswered === 0
    return new Outcome({ workers: told.acks.length, unanswered }, { ...told, ok })
  }

  /** What is known of a user's sessions, on all hosts; none of it opens one. */
  sessionsList({ user }: ArgsOf<'sessions-list'>): Promise<SessionView[]> {
    return this.#askWorker('sessions-list', { user })
  }

  sessionsEnd({ user, handle }: ArgsOf<'sessions-end'>): Promise<{ ended: number }> {
    return this.#askWorker('sessions-end', { user, ...(handle !== undefined && { handle }) })
  }

  async profile({ slot, seconds = 5 }: ArgsOf<'profile'>): Promise<Outcome> {
    const worker = this.#fleet.inSlot(slot)
    return new Outcome(await this.#diagnostician.profile(worker, seconds * 1000), { acks: [ackOf(worker)] })
  }

  async report({ slot }: ArgsOf<'report'>): Promise<Outcome> {
    const worker = this.#fleet.inSlot(slot)
    return new Outcome(await this.#diagnostician.report(worker), { acks: [ackOf(worker)] })
  }

  /** V8 stops a worker for seconds while it takes the snapshot: so another one serves in its place first. */
  async heap({ slot }: ArgsOf<'heap'>): Promise<Outcome> {
    const worker = this.#fleet.inSlot(slot)
    const file = await this.#diagnostician.heap(worker, (path) => this.#fleet.replace(worker, path))
    return new Outcome(file, { acks: [ackOf(worker)] })
  }

  async diagnose({ slot }: ArgsOf<'diagnose'>): Promise<Outcome> {
    const worker = this.#fleet.inSlot(slot)
    const { pid, channel } = worker
    const told = await channel.request('diagnose', {}, this.#options.askMs)
    return new Outcome({ slot, pid, ...told }, { acks: [ackOf(worker)] })
  }

  async #stop(): Promise<void> {
    if (this.#supervisor.state.phase !== 'running') return
    this.#supervisor.dispatch({ type: 'stop' })
    await sleep(this.#options.lameDuckMs)
    await Promise.race([this.#supervisor.closePort(), sleep(this.#options.drainMs)])
    this.#supervisor.dispatch({ type: 'port-closed' })
  }

  /** What needs Redis, a worker does. */
  async #askWorker<Q extends keyof WorkerRequests>(
    question: Q,
    args: WorkerRequests[Q]['args']
  ): Promise<Exclude<WorkerRequests[Q]['result'], Refusal>> {
    const worker = await this.#fleet.any()
    const answer = await worker.channel.request(question, args, this.#options.askMs)
    if (isRefusal(answer)) throw new CommandError(answer.refused.message, answer.refused.statusCode)
    return answer as Exclude<typeof answer, Refusal>
  }
}

/** What the journal says, of one slot or of all; the command line asks it where no primary runs. */
export function readWhy(journal: Journal, { slot, limit = 50 }: { slot?: number; limit?: number }): Entry[] {
  return journal.read({ ...(slot !== undefined && { slot }), limit })
}

const isRefusal = (answer: unknown): answer is Refusal =>
  typeof answer === 'object' && answer !== null && 'refused' in answer

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
