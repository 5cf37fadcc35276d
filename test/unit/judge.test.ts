import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deepFreeze } from '../../src/common/deep-freeze.ts'
import { judge, newJudgeState } from '../../src/verdict/judge.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import { MEASURES, type MeasureName } from '../../src/verdict/verdict-types.ts'
import { AS_GOOD, measureOf, verdicts } from '../helpers/verdicts.ts'

const OPTIONS = { alpha: 0.001, tolerance: 0.1, share: 0.5 }

describe('the judge of a release', () => {
  it('finds a release that does the same no worse, in every measure', () => {
    const last = verdicts(600, AS_GOOD).at(-1)!
    deepEqual(
      last.measures.map(({ name, verdict }) => [name, verdict]),
      MEASURES.map((name) => [name, 'no worse'])
    )
    equal(last.outcome, 'no worse')
    deepEqual(last.routes, [])
  })

  const worse: [MeasureName, Parameters<typeof verdicts>[1]][] = [
    ['errors', { canary: (second) => ({ failedUnits: second % 2 }) }],
    ['slow-p50', { canary: () => ({ slow: [0.7, 0.05, 0.01] }) }],
    ['slow-p95', { canary: () => ({ slow: [0.5, 0.1, 0.01] }) }],
    ['slow-p99', { canary: () => ({ slow: [0.5, 0.05, 0.03] }) }],
    ['event-loop', { canary: (second) => ({ stalledMs: second % 5 === 0 ? 300 : 0 }) }],
    ['cpu', { canary: () => ({ cpuMicros: 150_000 }) }],
    ['memory', { canary: (second) => ({ memoryBytes: 5e7 + second * 4e6 }) }]
  ]
  for (const [name, sides] of worse) {
    it(`finds a release that is worse in one measure worse in this one only: ${name}`, () => {
      const last = verdicts(100, sides).at(-1)!
      deepEqual(
        last.measures.filter(({ verdict }) => verdict === 'worse').map((measure) => measure.name),
        [name]
      )
      equal(last.outcome, 'worse')
    })

    it(`finds a release that is better in one measure no worse in this one: ${name}`, () => {
      const last = verdicts(600, { control: sides.canary! }).at(-1)!
      equal(measureOf(last, name).verdict, 'no worse')
    })
  }

  it('compares errors with all other workers too, which decides with fewer requests', () => {
    const canary = (second: number) => ({ units: 10, failedUnits: Number(second % 5 === 0) })
    const others = { canary, control: () => ({ units: 10 }), others: () => ({ units: 180 }) }
    const decided = (result: ReturnType<typeof verdicts>) => result.findIndex(({ outcome }) => outcome === 'worse')
    const [withOthers, without] = [
      decided(verdicts(300, others, { ...OPTIONS, share: 0.05 })),
      decided(verdicts(300, { canary, control: () => ({ units: 10 }) }))
    ]
    ok(withOthers > 0 && withOthers < without, `${withOthers} s, ${without} s`)
  })

  it('takes a client with errors for one, however many requests it sends', () => {
    const trial = { canary: emptyMeasurement(), control: emptyMeasurement() }
    Object.assign(trial.canary, { seconds: 60, requests: 9000, errors: 8000, units: 100, failedUnits: 1 })
    Object.assign(trial.control, { seconds: 60, requests: 1000, units: 100 })
    equal(measureOf(judge(newJudgeState(), trial, OPTIONS).verdict, 'errors').verdict, 'undecided')
  })

  it('takes a burst of errors in one or two seconds for a hiccup, and errors that go on for evidence', () => {
    const burst = (...seconds: number[]) => ({
      canary: (second: number) => ({ failedUnits: seconds.includes(second) ? 40 : 0 })
    })
    ok(verdicts(40, burst(12, 13)).every(({ outcome }) => outcome !== 'worse'))
    ok(verdicts(40, burst(12, 20)).every(({ outcome }) => outcome !== 'worse'))
    equal(verdicts(40, burst(12, 13, 14)).at(-1)!.outcome, 'worse')
  })

  it('never finds a release worse because of a single error', () => {
    for (const units of [1, 2, 10]) {
      const all = verdicts(200, { canary: (second) => ({ units, failedUnits: Number(second === 3) }) })
      ok(all.every((verdict) => measureOf(verdict, 'errors').verdict !== 'worse'))
    }
  })

  it('does not count a difference below the tolerance, however certain it is', () => {
    const sides = { canary: () => ({ cpuMicros: 108_000, stalledMs: 8 }) }
    ok(verdicts(600, sides).every(({ outcome }) => outcome !== 'worse'))
    equal(verdicts(600, sides, { ...OPTIONS, tolerance: 0.01 }).at(-1)!.outcome, 'worse')
  })

  it('says what is missing when there is little traffic', () => {
    const reasons = (side: Parameters<typeof verdicts>[1]['canary'], seconds = 20) =>
      verdicts(seconds, { canary: side!, control: side! })
        .at(-1)!
        .measures.map(({ reason }) => reason)
    equal(reasons(() => ({}), 3)[1], 'measuring has just begun')
    const alone = { canary: { ...emptyMeasurement(), seconds: 40 }, control: emptyMeasurement() }
    equal(measureOf(judge(newJudgeState(), alone, OPTIONS).verdict, 'cpu').reason, 'there is no control')
    const none = reasons(() => ({ units: 0, memoryBytes: undefined }))
    equal(none[0], 'no connections yet')
    ok(none[1]!.startsWith('needs '), none[1])
    equal(none[6], 'waits for garbage collections in both processes')
    const few = verdicts(20, { canary: (s) => ({ units: s % 2 }), control: (s) => ({ units: s % 2 }) }).at(-1)!
    ok(/^needs \d+ more connections/.test(measureOf(few, 'slow-p99').reason!))
    const short = verdicts(20, { canary: () => ({ units: 1, requestsPerUnit: 1 }), control: () => ({ units: 1 }) })
    equal(measureOf(short.at(-1)!, 'cpu').reason, 'needs 181 more requests')
    equal(few.outcome, 'undecided')
  })

  it('needs batches: a single call after a long time decides nothing about them', () => {
    const trial = { canary: emptyMeasurement(), control: emptyMeasurement() }
    for (const side of [trial.canary, trial.control]) {
      Object.assign(side, { seconds: 300, requests: 1e5, units: 1e5, unitSquares: 1e5, cpuMicros: 1 })
    }
    equal(measureOf(judge(newJudgeState(), trial, OPTIONS).verdict, 'cpu').reason, 'measuring has just begun')
  })

  it('narrows every interval while the difference stays the same', () => {
    const all = verdicts(300, { canary: () => ({ slow: [0.6, 0.06, 0.01], cpuMicros: 120_000 }) })
    for (const name of MEASURES) {
      const intervals = all.flatMap((verdict) => [measureOf(verdict, name).interval].filter((known) => !!known))
      ok(intervals.length > 0)
      for (const [i, [lower, upper]] of intervals.slice(1).entries()) {
        ok(lower >= intervals[i]![0] && upper <= intervals[i]![1], `${name}, ${i}`)
      }
    }
  })

  it('follows a difference that begins late', () => {
    const late = verdicts(1200, { canary: (second) => (second < 200 ? {} : { cpuMicros: 200_000 }) })
    equal(measureOf(late[199]!, 'cpu').verdict, 'no worse')
    equal(measureOf(late[1199]!, 'cpu').verdict, 'worse')
  })

  it('gives intervals that contain the estimate, even if the difference begins or ends during the trial', () => {
    const late = (second: number) => (second < 60 ? {} : { cpuMicros: 300_000 })
    for (const side of ['canary', 'control'] as const) {
      const all = verdicts(400, { [side]: late }).map((verdict) => measureOf(verdict, 'cpu'))
      for (const { estimate, interval } of all) {
        if (interval) ok(interval[0] <= estimate! && estimate! <= interval[1], `${estimate}, ${interval}`)
      }
      ok(Math.abs(all.at(-1)!.estimate!) > 0.5)
    }
  })

  it('names the routes that differ only if the release is worse', () => {
    const judgeErrors = (failedUnits: number) => {
      const trial = { canary: emptyMeasurement(), control: emptyMeasurement() }
      Object.assign(trial.canary, { seconds: 60, requests: 1000, errors: failedUnits, units: 1000, failedUnits })
      Object.assign(trial.control, { seconds: 60, requests: 1000, units: 1000 })
      trial.canary.routes['GET /'] = { requests: 1000, errors: failedUnits, latencyMs: 0 }
      trial.control.routes['GET /'] = { requests: 1000, errors: 0, latencyMs: 0 }
      const state = { ...newJudgeState(), bursts: { top: [5, 5, 5], since: 60, before: failedUnits } as const }
      const { outcome, routes } = judge(state, trial, OPTIONS).verdict
      return [outcome, routes.map(({ route }) => route)]
    }
    deepEqual(judgeErrors(200), ['worse', ['GET /']])
    deepEqual(judgeErrors(2), ['undecided', []])
  })

  it('sees the same difference with the other sign when the sides are exchanged', () => {
    const side = { slow: [0.6, 0.1, 0.02] as [number, number, number], stalledMs: 30 }
    const [slower, faster] = [verdicts(64, { canary: () => side }), verdicts(64, { control: () => side })]
    for (const name of ['slow-p50', 'slow-p95', 'slow-p99', 'event-loop'] as const) {
      const [one, other] = [measureOf(slower.at(-1)!, name).estimate!, measureOf(faster.at(-1)!, name).estimate!]
      ok(Math.abs(one + other) < 0.2 * Math.abs(one), `${name}: ${one}, ${other}`)
    }
  })

  it('decides the same when it is asked more often than once a second', () => {
    const trialAt = (seconds: number) => {
      const side = { ...emptyMeasurement(), requests: 100 * seconds, units: 100 * seconds, unitSquares: 100 * seconds }
      return {
        canary: { ...side, seconds, failedUnits: Math.floor(seconds / 2), cpuMicros: 1e5 * seconds },
        control: { ...side, seconds, cpuMicros: 9e4 * seconds }
      }
    }
    const run = (perSecond: number) => {
      let judged = judge(newJudgeState(), trialAt(1 / perSecond), OPTIONS)
      for (let i = 2; i <= 64 * perSecond; i++) judged = judge(judged.state, trialAt(i / perSecond), OPTIONS)
      return judged
    }
    const verdictsOf = ({ verdict }: ReturnType<typeof run>) => verdict.measures.map((measure) => measure.verdict)
    deepEqual(verdictsOf(run(4)), verdictsOf(run(1)))
    deepEqual(run(4).state.bursts, run(1).state.bursts)
    equal(run(4).state.looks, run(1).state.looks)
  })

  it('changes neither the state nor the figures that it is given', () => {
    let state = deepFreeze(newJudgeState())
    for (let seconds = 1; seconds <= 80; seconds++) {
      const side = () => ({ ...emptyMeasurement(), seconds, requests: 50 * seconds, units: 50 * seconds })
      const trial = deepFreeze({ canary: side(), control: side() })
      const again = structuredClone(judge(state, trial, OPTIONS))
      const judged = judge(state, trial, OPTIONS)
      deepEqual(judged, again)
      state = deepFreeze(judged.state)
    }
  })
})
