import { deepEqual, equal, match } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeTrialEnd, describeVerdict, measureRows } from '../../src/verdict/describe-verdict.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import type { MeasureReport, Verdict } from '../../src/verdict/verdict-types.ts'
import { worstRoutes } from '../../src/verdict/worst-routes.ts'
import { AS_GOOD, verdicts } from '../helpers/verdicts.ts'

const ERRORS: MeasureReport = {
  name: 'errors',
  unit: 'share of connections',
  estimate: 0.0202,
  interval: [0.0081, 0.0414],
  limit: 0.005,
  margin: 0.005,
  canary: 0.0212,
  control: 0.001,
  verdict: 'worse'
}
const SLOW: MeasureReport = {
  name: 'slow-p95',
  unit: 'share of requests',
  estimate: -0.00004,
  interval: [-0.01, 0.02],
  limit: 0,
  margin: 0.01,
  canary: 1234.5,
  control: 1200,
  verdict: 'undecided'
}
const MEMORY: MeasureReport = {
  name: 'memory',
  unit: 'bytes per s',
  limit: 65_536,
  margin: 65_536,
  verdict: 'undecided',
  reason: 'waits for garbage collections in both processes'
}

describe('the description of a verdict', () => {
  it('has a row for each measure: both sides, the difference with its interval, the verdict', () => {
    deepEqual(measureRows({ measures: [ERRORS, SLOW, MEMORY] }), [
      {
        measure: 'connections with errors',
        canary: '2.12 %',
        control: '0.1 %',
        difference: '+2.02 [+0.81, +4.14] %',
        verdict: 'worse'
      },
      {
        measure: 'requests above the p95',
        canary: '1230 ms',
        control: '1200 ms',
        difference: '-0.004 [-1, +2] %',
        verdict: 'undecided'
      },
      {
        measure: 'memory growth',
        canary: '-',
        control: '-',
        difference: '-',
        verdict: 'undecided: waits for garbage collections in both processes'
      }
    ])
    equal(measureRows({ measures: [{ ...ERRORS, estimate: -0 }] })[0]!.difference.split(' ')[0], '0')
  })

  it('names the measures that are worse with their numbers, and the routes that differ most', () => {
    const verdict: Verdict = {
      outcome: 'worse',
      measures: [ERRORS, { ...SLOW, verdict: 'worse' }, MEMORY],
      routes: [
        {
          route: 'GET /todos',
          canary: { requests: 50, errorRate: 0.2, meanMs: 12 },
          control: { requests: 40, errorRate: 0, meanMs: 11 }
        }
      ]
    }
    equal(
      describeVerdict(verdict),
      'worse: connections with errors 2.12 % instead of 0.1 %; requests above the p95 -0.004 [-1, +2] %; ' +
        'GET /todos: errors 20 % instead of 0 %, 12 ms instead of 11 ms'
    )
    const unknown = { ...ERRORS, canary: undefined, control: undefined }
    match(
      describeVerdict({ ...verdict, measures: [unknown], routes: [] }),
      /^worse: connections with errors \+2\.02 \[/
    )
  })

  it('says what an undecided verdict waits for', () => {
    const verdict: Verdict = { outcome: 'undecided', measures: [SLOW, MEMORY], routes: [] }
    equal(
      describeVerdict(verdict),
      'undecided: requests above the p95, memory growth (waits for garbage collections in both processes)'
    )
  })

  it('is short when nothing is worse', () => {
    equal(describeVerdict(verdicts(600, AS_GOOD).at(-1)!), 'no worse in any of 7 measures')
  })
})

describe('how a trial ended, in one line', () => {
  const ends = (outcome: string, why: string) => describeTrialEnd(outcome, { seconds: 4.2, requests: 210, why })

  it('says the outcome once', () => {
    equal(ends('worse', 'worse: CPU per request 2 ms'), 'worse after 4.2 s, 210 requests: CPU per request 2 ms')
    equal(ends('undecided', 'undecided: memory growth'), 'undecided after 4.2 s, 210 requests: memory growth')
    equal(ends('no worse', 'no worse in any of 7 measures'), 'no worse after 4.2 s, 210 requests, in any of 7 measures')
  })

  it('keeps a reason that is not the verdict', () => {
    equal(ends('undecided', 'the canary crashed'), 'undecided after 4.2 s, 210 requests: the canary crashed')
    equal(ends('promoted', 'undecided: memory growth'), 'promoted after 4.2 s, 210 requests: undecided: memory growth')
  })
})

describe('the routes that differ most', () => {
  const side = (routes: Record<string, [number, number, number]>) => ({
    ...emptyMeasurement(),
    errors: Object.values(routes).reduce((sum, [, errors]) => sum + errors, 0),
    routes: Object.fromEntries(
      Object.entries(routes).map(([route, [requests, errors, latencyMs]]) => [route, { requests, errors, latencyMs }])
    )
  })

  it('are those that add most errors and most time, the worst first', () => {
    const canary = side({ same: [100, 1, 900], slow: [50, 0, 5000], failing: [50, 20, 500], better: [50, 0, 100] })
    const control = side({ same: [100, 1, 900], slow: [50, 0, 1000], failing: [50, 0, 500], better: [50, 1, 200] })
    deepEqual(
      worstRoutes({ canary, control }).map(({ route }) => route),
      ['failing', 'slow']
    )
    deepEqual(worstRoutes({ canary, control })[0]!.canary, { requests: 50, errorRate: 0.4, meanMs: 10 })
  })

  it('are requested on both sides more than a few times, and are five at most', () => {
    const routes = (latency: number) =>
      Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`${i}`, [10, 0, latency] as [number, number, number]]))
    const canary = side({ ...routes(100), rare: [4, 4, 1e6], 'only new': [100, 100, 1e6] })
    equal(worstRoutes({ canary, control: side({ ...routes(50), rare: [100, 0, 10] }) }).length, 5)
    deepEqual(worstRoutes({ canary: side({ rare: [4, 4, 1e6] }), control: side({ rare: [100, 0, 10] }) }), [])
  })
})
