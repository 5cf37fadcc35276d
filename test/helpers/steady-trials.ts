import type { Measurement } from '../../src/ipc/measurement.ts'
import type { ArmFigures, Snapshot } from '../../src/verdict/batches.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import type { Trial } from '../../src/verdict/verdict-types.ts'

/** One side of a trial, where every connection has one request. `slow` is the number of slow requests of each quantile. */
export function side({ slow = 0, ...figures }: Partial<Omit<Measurement, 'slow'>> & { slow?: number }): Measurement {
  const requests = figures.requests ?? 0
  const ofQuantile = { requests: slow, squares: slow, products: slow }
  return {
    ...emptyMeasurement(),
    units: requests,
    unitSquares: requests,
    slow: [ofQuantile, ofQuantile, ofQuantile],
    ...figures
  }
}

/**
 * Returns the borders of batches of a trial in which everything happens evenly. `parts` says how much of it had happened at each border:
 * with different parts for the sides, only their load differs.
 */
export const steadily = (trial: Trial, parts: readonly number[], ofControl = parts): Snapshot[] =>
  parts.map((part, i) => ({ canary: partOf(trial.canary, part), control: partOf(trial.control, ofControl[i]!) }))

function partOf({ seconds, requests, slow, stalledMs, cpuMicros, memoryBytes }: Measurement, part: number): ArmFigures {
  return {
    seconds: part * seconds,
    requests: part * requests,
    slow: [part * slow[0].requests, part * slow[1].requests, part * slow[2].requests],
    stalledMs: part * stalledMs,
    cpuMicros: part * cpuMicros,
    memoryBytes: memoryBytes === undefined ? undefined : part * memoryBytes
  }
}

/** Four batches of the same length. */
export const QUARTERS = [0, 0.25, 0.5, 0.75, 1]
