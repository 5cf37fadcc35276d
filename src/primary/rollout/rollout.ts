import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import { addCuts, type Cut } from '../../ipc/drain-report.ts'
import type { DrainReport, DrainStats } from '../../ipc/messages.ts'
import type { TrialReport } from '../../verdict/trial-report.ts'
import type { Certificates } from '../listener/certificates.ts'
import type { ActionOf } from '../policy/types.ts'
import type { Releases } from './release.ts'

/** How a rollout ended. It is part of JSON answers. */
export interface RolloutOutcome {
  outcome: 'done' | 'failed' | 'stopped'
  generation: number
  durationMs: number
  why?: string
  /** Id of the new release; undefined if it could not be read. */
  to?: string
  /** Id of the release that served before. */
  from?: string
  /** How its first worker compared with the old release; undefined if it never served. */
  trial?: TrialReport | undefined
  /** What became of the connections of all workers that it replaced. `waiting` are those of workers that linger. */
  connections: DrainStats
  /** The connections that were cut, by kind and reason. */
  cuts: Cut[]
}

export interface RolloutOptions {
  releases: Releases
  certificates: Certificates | undefined
  journal: (event: JournalEvent) => void
  log: Logger
}

/** Takes the release of a rollout when it starts, and reports its outcome when it ends. */
export class Rollout {
  readonly #options: RolloutOptions
  #startedAt = 0
  #servingGeneration = 1
  #ids: { from?: string; to?: string } = {}
  /** The rollout in progress. */
  #current: Tally | undefined
  /** By lingering worker: the rollout that replaced it, and what it has added to that so far. */
  readonly #ofLingering = new Map<number, { tally: Tally; added: DrainReport }>()

  constructor(options: RolloutOptions) {
    this.#options = options
  }

  /**
   * Reads the release and the certificates of a new generation.
   * @param serving the generation that serves now
   * @returns why there is nothing to roll out; undefined if the rollout may go on
   */
  begin(generation: number, serving: number, now: number): string | undefined {
    const { releases, journal, log } = this.#options
    this.#startedAt = now
    this.#servingGeneration = serving
    this.#current = noConnections()
    this.#ids = { from: releases.of(serving).id }
    const why = this.#take(generation)
    const fields = { generation, ...this.#ids, ...(why !== undefined && { why }) }
    log.info(fields, 'rollout started')
    journal({ event: 'reload begins', ...fields })
    return why
  }

  /** Adds the connections of a worker that lingers, so far. What becomes of the others belongs to the rollout of this moment. */
  lingers(worker: number, report: DrainReport = NOTHING): void {
    if (!this.#current) return
    addReport(this.#current, report)
    this.#ofLingering.set(worker, { tally: this.#current, added: report })
  }

  /** Adds the connections of a worker that has left. */
  add(worker: number, report: DrainReport): void {
    const { tally = this.#current, added = NOTHING } = this.#ofLingering.get(worker) ?? {}
    this.#ofLingering.delete(worker)
    if (!tally) return
    addReport(tally, added, -1)
    addReport(tally, report)
  }

  end({ outcome, generation, cause }: ActionOf<'end-rollout'>, now: number, trial?: TrialReport): RolloutOutcome {
    const { releases, certificates, journal, log } = this.#options
    const serving = outcome === 'done' ? generation : this.#servingGeneration
    releases.forgetBefore(serving)
    certificates?.forgetBefore(serving)
    const durationMs = Math.round(now - this.#startedAt)
    const fields = { outcome, generation, durationMs, ...(cause !== undefined && { why: cause }), ...this.#ids }
    // The outcome shares both objects, so that it shows what lingering workers add later.
    const result: RolloutOutcome = { ...fields, ...(trial && { trial }), ...(this.#current ?? noConnections()) }
    this.#current = undefined
    const { trial: _, ...logged } = result
    log[outcome === 'failed' ? 'error' : 'info'](logged, `rollout ${outcome}`)
    journal({ event: `reload ${outcome}`, ...fields })
    return result
  }

  /** @returns why the release cannot be rolled out */
  #take(generation: number): string | undefined {
    const { releases, certificates } = this.#options
    try {
      certificates?.take(generation)
    } catch (error) {
      return (error as Error).message
    }
    try {
      this.#ids.to = releases.take(generation).id
    } catch (error) {
      return `the release cannot be read: ${(error as Error).message}`
    }
    return undefined
  }
}

interface Tally {
  connections: Required<DrainStats>
  cuts: Cut[]
}

const NOTHING: DrainReport = { total: 0, handedOver: 0, answered: 0, idle: 0, left: 0, cut: 0 }

/** @param sign -1 takes the report out again */
function addReport({ connections, cuts }: Tally, report: DrainReport, sign: 1 | -1 = 1): void {
  for (const key of Object.keys(connections) as (keyof typeof connections)[]) {
    connections[key] += sign * (report[key] ?? 0)
  }
  addCuts(
    cuts,
    (report.cuts ?? []).map((cut) => ({ ...cut, count: sign * cut.count }))
  )
}

const noConnections = (): Tally => ({
  connections: { total: 0, handedOver: 0, answered: 0, closed: 0, idle: 0, left: 0, cut: 0, lost: 0, waiting: 0 },
  cuts: []
})
