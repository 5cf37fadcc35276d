import type { WorkerView } from '../ipc/messages.ts'
import type { RollOutcome, Supervisor } from './supervisor.ts'

/** A command that cannot be done as asked; the message is for who asked. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export interface Status {
  version: string
  pid: number
  uptimeSeconds: number
  generation: number
  desired: number
  scheduling: string
  state: string
  workers: (WorkerView & { uptimeSeconds: number })[]
  lastReload: RollOutcome | null
  restarts: Readonly<Record<string, number>>
}

export interface CommandsOptions {
  supervisor: Supervisor
  version: string
  scheduling: string
  /** After `stop`, accept for so long, in ms. */
  lameDuckMs: number
  /** Connections that were accepted get so long to reach a worker, in ms. */
  drainMs: number
}

/** Workers that one primary may be asked for. */
const MAX_WORKERS = 999

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
    const uptime = (since: number) => Math.round((performance.now() - since) / 1000)
    return {
      version: this.#options.version,
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      generation: state.generation,
      desired: state.desired,
      scheduling: this.#options.scheduling,
      state: view.state,
      workers: state.workers.map(({ slot, pid, generation, status, since }) => ({
        slot,
        pid,
        generation,
        status,
        uptimeSeconds: uptime(since)
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

  /** Drains: readiness says no at once, the port is kept for the lame duck time, then every worker finishes and leaves. */
  async stop(): Promise<void> {
    if (this.#supervisor.state.phase !== 'running') return
    this.#supervisor.dispatch({ type: 'stop' })
    await sleep(this.#options.lameDuckMs)
    await Promise.race([this.#supervisor.dispatcher.close(), sleep(this.#options.drainMs)])
    this.#supervisor.dispatch({ type: 'port-closed' })
  }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
