import type { Measurement } from '../../src/ipc/measurement.ts'
import { judge, newJudgeState } from '../../src/verdict/judge.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import type { MeasureName, MeasureReport, Trial, Verdict } from '../../src/verdict/verdict-types.ts'
import { Random } from './random.ts'

/** What one side does in a second. Noise of a few percent is added, the same for the same seed. */
export interface Second {
  units: number
  requestsPerUnit: number
  failedUnits?: number
  /** The shares of slow requests. */
  slow: [number, number, number]
  cpuMicros: number
  stalledMs: number
  memoryBytes?: number | undefined
}

export const ORDINARY: Second = {
  units: 50,
  requestsPerUnit: 2,
  slow: [0.5, 0.05, 0.01],
  cpuMicros: 100_000,
  stalledMs: 0,
  memoryBytes: 5e7
}

/** A canary that does the same as the control: its limits of latency are higher, so it has fewer slow requests. */
export const AS_GOOD = { canary: () => ({ slow: [0.46, 0.041, 0.0078] as Second['slow'] }) }

type SideAt = (second: number) => Partial<Second>

/** Runs judge() once a second. The sides say what differs from ORDINARY. */
export function verdicts(
  seconds: number,
  sides: { canary?: SideAt; control?: SideAt; others?: SideAt },
  options = { alpha: 0.001, tolerance: 0.1, share: 0.5 }
): Verdict[] {
  const random = new Random(7)
  const trial: Trial = { canary: emptyMeasurement(), control: emptyMeasurement() }
  if (sides.others) trial.others = emptyMeasurement()
  let state = newJudgeState()
  return Array.from({ length: seconds }, (_, second) => {
    addSecond(trial.canary, { ...ORDINARY, ...sides.canary?.(second) }, random)
    addSecond(trial.control, { ...ORDINARY, ...sides.control?.(second) }, random)
    if (trial.others) addSecond(trial.others, { ...ORDINARY, ...sides.others?.(second) }, random)
    const judged = judge(state, trial, options)
    state = judged.state
    return judged.verdict
  })
}

export function measureOf(verdict: Verdict, name: MeasureName): MeasureReport {
  return verdict.measures.find((measure) => measure.name === name)!
}

/** Adds units that are all alike but for one request: `n` slow ones of `m` become floor or ceil of `n`. */
function addSecond(side: Measurement, second: Second, random: Random): void {
  const { units, requestsPerUnit } = second
  const noise = () => 0.97 + 0.06 * random.next()
  side.seconds++
  side.units += units
  side.requests += units * requestsPerUnit
  side.unitSquares += units * requestsPerUnit ** 2
  side.failedUnits += second.failedUnits ?? 0
  side.errors += second.failedUnits ?? 0
  side.stalledMs += second.stalledMs
  side.cpuMicros += second.cpuMicros * noise()
  side.memoryBytes = second.memoryBytes
  for (const [i, slow] of side.slow.entries()) {
    for (let unit = 0; unit < units; unit++) {
      const mean = second.slow[i]! * noise() * requestsPerUnit
      const ofUnit = Math.floor(mean) + Number(random.chance(mean - Math.floor(mean)))
      slow.requests += ofUnit
      slow.squares += ofUnit ** 2
      slow.products += ofUnit * requestsPerUnit
    }
  }
}
