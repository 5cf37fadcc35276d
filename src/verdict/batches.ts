import type { Measurement, PerQuantile } from '../ipc/measurement.ts'
import type { Trial } from './verdict-types.ts'

/** The cumulative figures of one side that are compared batch by batch. */
export interface ArmFigures {
  seconds: number
  requests: number
  slow: PerQuantile
  stalledMs: number
  cpuMicros: number
  memoryBytes?: number | undefined
}

/** The figures of both sides at the same moment. */
export interface Snapshot {
  canary: ArmFigures
  control: ArmFigures
}

/** Snapshots at the borders of batches: periods of equal length, at most MAX_BATCHES of them. */
export interface Batches {
  seconds: number
  borders: readonly Snapshot[]
}

/** When there are as many, each two are merged: long trials have long batches, which depend less on each other. */
export const MAX_BATCHES = 32

export const NO_BATCHES: Batches = {
  seconds: 2,
  borders: [{ canary: emptyFigures(), control: emptyFigures() }]
}

/** @returns the batches with those that have ended since the last border */
export function addToBatches(batches: Batches, trial: Trial): Batches {
  const { seconds, borders } = batches
  const last = borders.at(-1)!
  if (trial.canary.seconds < last.canary.seconds + seconds) return batches
  const longer = [...borders, snapshotOf(trial)]
  if (longer.length <= MAX_BATCHES) return { seconds, borders: longer }
  return { seconds: 2 * seconds, borders: longer.filter((_, i) => i % 2 === 0) }
}

/** @returns all borders, and the present as the end of the last batch, which is shorter than the others */
export function bordersUntilNow(batches: Batches, trial: Trial): Snapshot[] {
  const now = snapshotOf(trial)
  const hasNewest = batches.borders.at(-1)!.canary.seconds < now.canary.seconds
  return hasNewest ? [...batches.borders, now] : [...batches.borders]
}

/** Returns a value for each batch. */
export function eachBatch(borders: readonly Snapshot[], value: (from: Snapshot, to: Snapshot) => number): number[] {
  return borders.slice(1).map((to, i) => value(borders[i]!, to))
}

export function snapshotOf({ canary, control }: Trial): Snapshot {
  return { canary: figuresOf(canary), control: figuresOf(control) }
}

function figuresOf(measurement: Measurement): ArmFigures {
  const { seconds, requests, slow, stalledMs, cpuMicros, memoryBytes } = measurement
  const [first, second, third] = slow
  return {
    seconds,
    requests,
    slow: [first.requests, second.requests, third.requests],
    stalledMs,
    cpuMicros,
    memoryBytes
  }
}

function emptyFigures(): ArmFigures {
  return { seconds: 0, requests: 0, slow: [0, 0, 0], stalledMs: 0, cpuMicros: 0 }
}
