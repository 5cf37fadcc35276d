import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addToBatches, bordersUntilNow, MAX_BATCHES, NO_BATCHES } from '../../src/verdict/batches.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import { measureOf, verdicts } from '../helpers/verdicts.ts'

/** Stalls of this length every few seconds. */
const stalls = (stalledMs: number, every: number) => (second: number) => ({
  stalledMs: second % every === 0 ? stalledMs : 0
})

describe('stalls of the event loop', () => {
  it('are found by their number before their mean is certain', () => {
    const lengths = [60, 60, 90, 2000, 60, 70]
    const canary = (second: number) => ({ stalledMs: second % 5 === 0 ? lengths[(second / 5) % 6]! : 0 })
    const stall = verdicts(150, { canary }).map((verdict) => measureOf(verdict, 'event-loop'))
    const first = stall.find(({ verdict }) => verdict === 'worse')!
    ok(first.interval![0] < first.limit, `${first.interval}`)
  })

  it('do not count where they add up to little, however many there are', () => {
    const all = verdicts(600, { canary: stalls(60, 10) })
    ok(all.every((verdict) => measureOf(verdict, 'event-loop').verdict !== 'worse'))
  })

  it('count once if they follow each other: a process that got no CPU for a while is no evidence', () => {
    const starved = (second: number) => ({
      stalledMs: second >= 20 && second < 60 ? 60 + (second % 7 === 0 ? 900 : 0) : 0
    })
    const all = verdicts(300, { canary: starved })
    ok(all.every((verdict) => measureOf(verdict, 'event-loop').verdict !== 'worse'))
  })

  it('do not count where the control has as many', () => {
    const all = verdicts(300, { canary: stalls(200, 5), control: stalls(200, 4) })
    ok(all.every((verdict) => measureOf(verdict, 'event-loop').verdict !== 'worse'))
  })
})

describe('the batches of a trial', () => {
  const at = (seconds: number) => {
    const side = { ...emptyMeasurement(), seconds }
    return { canary: side, control: side }
  }

  it('end with the present, whether or not a batch has just ended', () => {
    const batches = addToBatches(NO_BATCHES, at(2))
    equal(bordersUntilNow(batches, at(2)).at(-1)!.canary.seconds, 2)
    equal(bordersUntilNow(batches, at(2)).length, 2)
    equal(bordersUntilNow(batches, at(3)).at(-1)!.canary.seconds, 3)
    equal(bordersUntilNow(batches, at(3)).length, 3)
    equal(bordersUntilNow(addToBatches(batches, at(4)), at(4)).length, 3)
  })

  it('are merged only when there would be more of them than there may be', () => {
    let batches = NO_BATCHES
    while (batches.borders.length < MAX_BATCHES) batches = addToBatches(batches, at(2 * batches.borders.length))
    equal(batches.seconds, 2)
    equal(addToBatches(batches, at(2 * MAX_BATCHES)).seconds, 4)
  })

  it('are few and equally long, however long the trial is', () => {
    let batches = NO_BATCHES
    for (let seconds = 1; seconds <= 5000; seconds++) {
      batches = addToBatches(batches, at(seconds))
      ok(batches.borders.length <= MAX_BATCHES)
      for (const [i, border] of batches.borders.entries()) equal(border.canary.seconds, i * batches.seconds)
    }
    ok(batches.borders.length >= MAX_BATCHES / 2)
  })
})
