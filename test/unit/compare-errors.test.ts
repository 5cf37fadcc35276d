import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addToBursts, type Bursts, compareErrors, NO_BURSTS } from '../../src/verdict/compare-errors.ts'
import { binomialInterval } from '../../src/verdict/statistics.ts'
import type { Trial } from '../../src/verdict/verdict-types.ts'
import { near } from '../helpers/near.ts'
import { side } from '../helpers/steady-trials.ts'

const ALPHA = 0.001
const OPTIONS = { alpha: 0.002, tolerance: 0.1, share: 0.2 }

/** Failed connections of 1000, and of 3000 of the others. */
const trialOf = (canary: number, control: number, others?: number): Trial => ({
  canary: side({ seconds: 102, units: 1000, failedUnits: canary }),
  control: side({ seconds: 102, units: 1000, failedUnits: control }),
  others: others === undefined ? undefined : side({ seconds: 102, units: 3000, failedUnits: others })
})

/** The errors came evenly: no second had more than two. */
const evenly = ({ canary }: Trial): Bursts => ({ top: [2, 2, 2], since: 101, before: canary.failedUnits })
const compare = (trial: Trial, bursts = evenly(trial), options = OPTIONS) =>
  compareErrors(trial, bursts, ALPHA, options)

describe('the comparison of errors', () => {
  it('is that of the shares of failed connections of the canary and of all other workers', () => {
    const trial = trialOf(50, 10, 30)
    const { canary, control, estimate, interval, limit } = compare(trial)
    near([canary!, control!, estimate!, limit], [0.05, 0.01, 0.04, 0.005])
    const [least] = binomialInterval(50, 90, ALPHA, 0.25)
    const highest = binomialInterval(50, 1000, ALPHA, 0.01)[1]
    near(interval, [90 * (least / 1000 - (1 - least) / 4000), highest - 0.01])
    const without = compare(trialOf(50, 10))
    near([without.control!, without.estimate!], [0.01, 0.04])
  })

  it('needs connections on both sides', () => {
    const none = side({})
    const some = side({ units: 5 })
    for (const [canary, control] of [
      [none, some],
      [some, none]
    ] as const) {
      deepEqual(compare({ canary, control }), { limit: 0.005, reason: 'no connections yet' })
    }
    equal(compare({ canary: some, control: none, others: some }).reason, undefined)
  })

  it('is worse if far more connections of the canary fail than its share', () => {
    equal(compare(trialOf(50, 10, 30)).verdict, 'worse')
    equal(compare(trialOf(50, 10, 190)).verdict, 'undecided')
  })

  it('is not worse while the control fails as often as the canary', () => {
    equal(compare(trialOf(50, 46, 0)).verdict, 'undecided')
    equal(compare(trialOf(50, 44, 0)).verdict, 'worse')
  })

  it('is not worse by less than a twentieth of the tolerance, however certain the difference is', () => {
    const many = (failedUnits: number) => ({
      canary: side({ seconds: 10_000, units: 100_000, failedUnits }),
      control: side({ seconds: 10_000, units: 400_000, failedUnits: 0 })
    })
    equal(compare(many(300)).verdict, 'no worse')
    equal(compare(many(490)).verdict, 'undecided')
    equal(compare(many(550)).verdict, 'worse')
    // The control fails less often than the others.
    const unlike = {
      canary: side({ seconds: 10_000, units: 100_000, failedUnits: 1900 }),
      control: side({ seconds: 10_000, units: 100_000, failedUnits: 1000 }),
      others: side({ seconds: 10_000, units: 300_000, failedUnits: 5000 })
    }
    equal(compare(unlike).verdict, 'undecided')
  })

  it('is no worse if no more than the tolerance may be the canary’s, even where many connections fail', () => {
    const failing = (canary: number) => ({
      canary: side({ seconds: 100_000, units: 100_000, failedUnits: canary }),
      control: side({ seconds: 100_000, units: 400_000, failedUnits: 200_000 })
    })
    equal(compare(failing(50_000)).verdict, 'no worse')
    equal(compare(failing(54_900)).verdict, 'undecided')
  })

  it('expects the share of the connections that the canary got, where this is more than the router intended', () => {
    const got = (share: number) => compare(trialOf(50, 30), evenly(trialOf(50, 30)), { ...OPTIONS, share }).verdict
    equal(got(0.01), 'undecided')
    equal(got(0.01), got(0.5))
    const few = trialOf(30, 15, 45)
    equal(compare(few, evenly(few), { ...OPTIONS, share: 0.01 }).verdict, 'undecided')
  })

  it('counts the two worst seconds of the canary no more than is usual for the others', () => {
    const lowest = (top: Bursts['top'], before: number) =>
      compare(trialOf(50, 10, 30), { top, since: 101, before }).interval![0]
    const expected = (counted: number) => {
      const [least] = binomialInterval(counted, counted + 40, ALPHA, 0.25)
      return (counted + 40) * (least / 1000 - (1 - least) / 4000)
    }
    // As the third worst second.
    near(lowest([30, 10, 2], 50), expected(14))
    // As the mean of the other 100 seconds, 0.1, and two standard deviations.
    const usual = 0.1 + 2 * Math.sqrt(0.1)
    near(lowest([30, 10, 0], 50), expected(10 + 2 * usual))
    // The present second is among the worst.
    near(lowest([10, 2, 0], 20), expected(14))
  })
})

describe('the worst seconds of a canary', () => {
  const at = (seconds: number, failedUnits: number) => ({ canary: side({ seconds, failedUnits }), control: side({}) })

  it('are known by their failed connections, the worst first', () => {
    let bursts = NO_BURSTS
    for (const [i, failed] of [3, 4, 4, 11, 13].entries()) bursts = addToBursts(bursts, at(i + 1, failed))
    deepEqual(bursts, { top: [7, 3, 2], since: 5, before: 13 })
  })

  it('end only after a whole second', () => {
    const bursts = addToBursts(NO_BURSTS, at(1, 2))
    equal(addToBursts(bursts, at(1.9, 5)), bursts)
    deepEqual(addToBursts(bursts, at(2, 5)).top, [3, 2, 0])
  })
})
