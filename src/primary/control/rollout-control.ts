import type { ReloadOutcome } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { RolloutTurns } from '../hosts/rollout-turns.ts'
import type { ReloadRequest } from '../policy/trial-types.ts'
import type { State } from '../policy/types.ts'
import type { RolloutOutcome } from '../rollout/rollout.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import type { WorkerQueries } from '../workers/worker-queries.ts'

/** What admin commands can do to a rollout: begin it, wait for its end, and end its trial by hand. */
export class RolloutControl {
  /** How the last rollout of this host ended, or that it was refused. */
  last: ReloadOutcome | null = null
  /** Undefined: reloads begin at once. */
  turns: RolloutTurns | undefined
  readonly #supervisor: Supervisor
  readonly #workers: WorkerQueries

  constructor(supervisor: Supervisor, workers: WorkerQueries) {
    this.#supervisor = supervisor
    this.#workers = workers
    supervisor.on('rollout', (outcome) => {
      this.last = outcome
    })
  }

  /** @param join whether to wait for a rollout in progress instead of beginning one after it @param forced see {@link RolloutTurns} */
  async reload(join: boolean, request: ReloadRequest, forced: boolean): Promise<ReloadOutcome> {
    if (this.turns) return this.turns.reload(join, request, forced)
    const { rollout } = this.#supervisor.state
    if (join && rollout) return { ...(await this.#outcomeOf(rollout.generation)), joined: true }
    return new Promise((resolve, reject) => void this.roll(request, resolve).then(resolve, reject))
  }

  /** Rolls out what is on disk. @param onHeld called when the rollout waits for an operator. @returns its end */
  async roll(request: ReloadRequest, onHeld: (outcome: ReloadOutcome) => void): Promise<ReloadOutcome> {
    const { phase, share, generation, lastGeneration } = this.#supervisor.state
    if (phase !== 'running' || share) {
      const why = share ? 'an upgrade is under way' : 'the service stops'
      return { outcome: 'stopped', generation, durationMs: 0, why }
    }
    const ended = this.#outcomeOf(lastGeneration + 1)
    void this.#held(lastGeneration + 1).then(onHeld)
    this.#supervisor.handle({ type: 'reload', request })
    return ended
  }

  /** Resolves when the rollout waits for an operator; never if it does not. */
  async #held(generation: number): Promise<ReloadOutcome> {
    const startedAt = this.#supervisor.now()
    const isHeld = ({ rollout }: State) => rollout?.trial?.held === true
    await this.#workers.until((state) => state.lastGeneration >= generation && (!state.rollout || isHeld(state)))
    if (!isHeld(this.#supervisor.state)) return new Promise(() => {})
    const trial = this.#supervisor.trials.report
    const durationMs = Math.round(this.#supervisor.now() - startedAt)
    const why = `${trial?.why}; \`muster promote\` lets it continue, \`muster rollback\` ends it`
    return { outcome: 'held', generation, durationMs, why, trial }
  }

  promote(): number {
    const { generation, failure } = this.#rolloutInProgress()
    if (failure !== undefined) throw new CommandError(`generation ${generation} is being rolled back: ${failure}`, 409)
    this.#supervisor.handle({ type: 'promote' })
    return generation
  }

  async rollback(): Promise<ReloadOutcome> {
    const { generation } = this.#rolloutInProgress()
    const ended = this.#outcomeOf(generation)
    this.#supervisor.handle({ type: 'rollout-failed', cause: 'an operator rolled it back' })
    return ended
  }

  #rolloutInProgress() {
    const { rollout } = this.#supervisor.state
    if (!rollout) throw new CommandError('no reload is in progress; `muster reload` begins one', 409)
    return rollout
  }

  async #outcomeOf(generation: number): Promise<ReloadOutcome> {
    const outcome = await this.#rolloutEnd(generation)
    const lingering = this.#supervisor.pool.live().flatMap(({ waitsFor }) => waitsFor ?? [])
    return { ...outcome, ...(lingering.length > 0 && { lingering }) }
  }

  /** Resolves when the rollout of this generation, or of a later one, has ended. When the service stops, every rollout ends. */
  #rolloutEnd(generation: number): Promise<RolloutOutcome> {
    return new Promise((resolve) => {
      const settle = (outcome: RolloutOutcome) => {
        if (outcome.generation < generation && outcome.outcome !== 'stopped') return
        this.#supervisor.off('rollout', settle)
        resolve(outcome)
      }
      this.#supervisor.on('rollout', settle)
    })
  }
}
