import type { DrainStats } from '../../ipc/messages.ts'
import type { Certificates } from '../listener/certificates.ts'
import type { Releases } from './release.ts'

/** How a rolling restart ended. */
export interface RolloutOutcome {
  outcome: 'done' | 'failed' | 'stopped'
  generation: number
  durationMs: number
  why?: string
  /** The release that it was to bring, where there was one, and the one that served before. */
  to?: string
  from?: string
  /** Connections of all the workers that it replaced. */
  connections: DrainStats
}

/** The book of the rolling restart under way. */
export class Rollout {
  readonly #releases: Releases
  readonly #certificates: Certificates | undefined
  #begun: { at: number; connections: Required<DrainStats>; from?: string; to?: string } = {
    at: 0,
    connections: noConnections()
  }
  #serving = 1

  constructor(releases: Releases, certificates: Certificates | undefined) {
    this.#releases = releases
    this.#certificates = certificates
  }

  /** @returns the releases, or why there is none to roll out */
  begin(generation: number, serving: number, now: number): { from: string; to?: string; why?: string } {
    const from = this.#releases.of(serving).id
    this.#serving = serving
    this.#begun = { at: now, connections: noConnections(), from }
    try {
      this.#certificates?.take(generation)
    } catch (error) {
      return { from, why: (error as Error).message }
    }
    try {
      const to = this.#releases.take(generation).id
      this.#begun.to = to
      return { from, to }
    } catch (error) {
      return { from, why: `the release cannot be read: ${(error as Error).message}` }
    }
  }

  /** A worker has left in order. */
  add(connections: DrainStats): void {
    const total = this.#begun.connections
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += connections[key] ?? 0
  }

  end(
    { outcome, generation, why }: { outcome: RolloutOutcome['outcome']; generation: number; why?: string },
    now: number
  ): RolloutOutcome {
    const { at, ...book } = this.#begun
    const serving = outcome === 'done' ? generation : this.#serving
    this.#releases.forgetBefore(serving)
    this.#certificates?.forgetBefore(serving)
    return { outcome, generation, durationMs: Math.round(now - at), ...(why !== undefined && { why }), ...book }
  }
}

const noConnections = (): Required<DrainStats> => ({
  total: 0,
  handedOver: 0,
  answered: 0,
  idle: 0,
  left: 0,
  cut: 0,
  lost: 0,
  waiting: 0
})
