import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareSlow } from '../../src/verdict/compare-latency.ts'
import { compareCpu, compareMemory } from '../../src/verdict/compare-process.ts'
import { compareStalls, NO_STALLED_SECONDS } from '../../src/verdict/compare-stalls.ts'
import { judge, newJudgeState } from '../../src/verdict/judge.ts'
import { binomialInterval } from '../../src/verdict/statistics.ts'
import { MEASURES } from '../../src/verdict/verdict-types.ts'
import { near } from '../helpers/near.ts'
import { side, steadily } from '../helpers/steady-trials.ts'
import { measureOf } from '../helpers/verdicts.ts'

const ALPHA = 0.001
const OPTIONS = { alpha: ALPHA, tolerance: 0.1, share: 0.5 }

/** Both sides do the same in every second, and the canary a little more of it. */
function trialAt(seconds: number) {
  const of = (more: number) => {
    const measured = side({
      seconds,
      requests: 100 * seconds,
      failedUnits: more * seconds,
      stalledMs: more * seconds,
      cpuMicros: 1e4 * more * seconds,
      memoryBytes: 1e6 * more * seconds
    })
    for (const [i, slow] of [50, 5, 1].entries()) {
      const requests = slow * more * seconds
      measured.slow[i] = { requests, squares: requests, products: requests }
    }
    return measured
  }
  return { canary: of(1.1), control: of(1) }
}

/** Judges at these times. */
function judgeAt(times: readonly number[], trial = trialAt) {
  let state = newJudgeState()
  return times.map((seconds) => {
    const judged = judge(state, trial(seconds), OPTIONS)
    state = judged.state
    return judged
  })
}

const everySecond = (seconds: number) => Array.from({ length: seconds }, (_, i) => i + 1)

describe('the looks of the judge', () => {
  it('come after 13 s, and each further one when √2 times as much time has passed', () => {
    const times = everySecond(60).map((second) => second + 0.5)
    const looks = judgeAt(times).map(({ state }) => state.looks)
    deepEqual(
      times.filter((_, i) => looks[i]! > (looks[i - 1] ?? 0)),
      [13.5, 18.5, 26.5, 37.5, 52.5]
    )
  })

  it('wait for the side that began later', () => {
    const late = (seconds: number) => ({ ...trialAt(seconds), control: trialAt(seconds - 5).control })
    const looks = judgeAt([2, 4, 6, 8, 10, 12, 14, 16, 18], late).map(({ state }) => state.looks)
    deepEqual(looks, [0, 0, 0, 0, 0, 0, 0, 0, 1])
  })

  it('need four batches', () => {
    deepEqual(
      judgeAt([10, 20, 30, 40]).map(({ state }) => state.looks),
      [0, 0, 0, 1]
    )
  })

  it('share half of alpha among six measures, and look j gets the part 1 / (j * (j + 1)) of it', () => {
    for (const [seconds, look] of [
      [13, 1],
      [19, 2]
    ] as const) {
      const { verdict } = judgeAt(everySecond(seconds)).at(-1)!
      const trial = trialAt(seconds)
      const ends = everySecond(seconds).filter((second) => second % 2 === 0)
      const borders = steadily(
        trial,
        [0, ...ends, seconds].map((second) => second / seconds)
      )
      const tail = ALPHA / 2 / 6 / (look * (look + 1))
      const expected = {
        'slow-p50': compareSlow(trial, borders, 0, tail),
        'slow-p95': compareSlow(trial, borders, 1, tail),
        'slow-p99': compareSlow(trial, borders, 2, tail),
        'event-loop': compareStalls(trial, borders, NO_STALLED_SECONDS, tail / 2, ALPHA, 0.1),
        cpu: compareCpu(trial, borders, tail, 0.1),
        // Before the first batch, no memory is known.
        memory: compareMemory(borders.slice(1), tail, 0.1)
      }
      for (const [name, { interval }] of Object.entries(expected)) {
        near(measureOf(verdict, name as keyof typeof expected).interval, interval!)
      }
    }
  })

  it('give half of what stalls may use to the number of stalled seconds', () => {
    const isSure = (stalled: number) => binomialInterval(stalled, stalled, ALPHA / 2 / 6 / 2, 0.5)[0] > 1.1 / 2.1
    const enough = everySecond(26).find(isSure)!
    const stalling = (count: number) => (seconds: number) => ({
      canary: side({ seconds, stalledMs: 60 * Math.min(count, Math.floor(seconds / 2)) }),
      control: side({ seconds })
    })
    const verdictOf = (count: number) =>
      measureOf(judgeAt(everySecond(53), stalling(count)).at(-1)!.verdict, 'event-loop').verdict
    deepEqual([verdictOf(enough - 1), verdictOf(enough)], ['undecided', 'worse'])
  })

  it('leave a measure undecided before the first one, and while its interval reaches beyond both limits', () => {
    const all = judgeAt(everySecond(14))
    for (const { verdict } of [all[0]!, all[13]!]) {
      equal(verdict.outcome, 'undecided')
      for (const name of ['slow-p50', 'event-loop', 'cpu'] as const)
        equal(measureOf(verdict, name).verdict, 'undecided')
    }
  })

  it('report the unit of each measure', () => {
    const [{ verdict } = { verdict: undefined }] = judgeAt([1])
    deepEqual(
      verdict!.measures.map(({ name, unit }) => [name, unit]),
      [
        ['errors', 'share of connections'],
        ['slow-p50', 'share of requests'],
        ['slow-p95', 'share of requests'],
        ['slow-p99', 'share of requests'],
        ['event-loop', 'ms per s'],
        ['cpu', 'relative'],
        ['memory', 'bytes per s']
      ]
    )
    equal(verdict!.measures.length, MEASURES.length)
  })
})
