import type { LatencyBaseline, LatencyLimits, Measurement } from '../../ipc/measurement.ts'
import { describeVerdict } from '../../verdict/describe-verdict.ts'
import { type JudgeState, judge, newJudgeState } from '../../verdict/judge.ts'
import { addBaselines, latencyLimits } from '../../verdict/latency-limits.ts'
import { addMeasurements, emptyMeasurement } from '../../verdict/measurement-recorder.ts'
import type { SideReport } from '../../verdict/trial-report.ts'
import type { Verdict, VerdictOptions } from '../../verdict/verdict-types.ts'

/** What the workers of one trial have measured, by worker id, and what the judge has said about it. */
export class TrialFigures {
  readonly #options: Omit<VerdictOptions, 'share'>
  readonly #baselines = new Map<number, LatencyBaseline>()
  readonly #measurements = new Map<number, Measurement>()
  #judgeState: JudgeState = newJudgeState()
  verdict: Verdict = { outcome: 'undecided', measures: [...this.#judgeState.reports], routes: [] }
  #isJudged = false

  constructor(options: Omit<VerdictOptions, 'share'>) {
    this.#options = options
  }

  addBaseline(worker: number, baseline: LatencyBaseline): void {
    this.#baselines.set(worker, baseline)
  }

  /** Forgets what was measured while the workers of the trial were booting, which slows everything down. */
  clearBaselines(): void {
    this.#baselines.clear()
  }

  addMeasurement(worker: number, measurement: Measurement): void {
    this.#measurements.set(worker, measurement)
  }

  /**
   * @returns the limits of latency of both sides; undefined as long as there are too few requests. Those of the control count if
   * they suffice: the other workers have another share of the load, so what is slow there says less about the canary.
   */
  limits(control: number): { control: LatencyLimits; canary: LatencyLimits } | undefined {
    const { tolerance } = this.#options
    const own = this.#baselines.get(control)
    return (
      (own && latencyLimits(own, tolerance)) ?? latencyLimits(addBaselines([...this.#baselines.values()]), tolerance)
    )
  }

  /** Compares what there is. Nothing changes until both sides have reported. */
  judge(canary: number, control: number | undefined, share: number): Verdict {
    const ofCanary = this.#measurements.get(canary)
    const ofControl = control === undefined ? emptyMeasurement() : this.#measurements.get(control)
    if (!ofCanary || !ofControl) return this.verdict
    const others = this.#others(canary, control)
    const judged = judge(
      this.#judgeState,
      { canary: ofCanary, control: ofControl, others },
      { ...this.#options, share }
    )
    this.#judgeState = judged.state
    this.#isJudged = true
    this.verdict = judged.verdict
    return this.verdict
  }

  /** @returns what was served by the canary, the control and all others */
  sides(
    canary: number,
    control: number | undefined
  ): { canary: SideReport; control: SideReport | null; others: SideReport } {
    return {
      canary: sideOf(this.#measurements.get(canary)),
      control: control === undefined ? null : sideOf(this.#measurements.get(control)),
      others: sideOf(this.#others(canary, control))
    }
  }

  describe(): string {
    return this.#isJudged ? describeVerdict(this.verdict) : 'undecided: too few requests to know what is slow'
  }

  #others(canary: number, control: number | undefined): Measurement {
    const all = [...this.#measurements].filter(([id]) => id !== canary && id !== control)
    return addMeasurements(all.map(([, measurement]) => measurement))
  }
}

const sideOf = (measurement: Measurement | undefined): SideReport => ({
  connections: measurement?.units ?? 0,
  requests: measurement?.requests ?? 0,
  errors: measurement?.errors ?? 0
})
