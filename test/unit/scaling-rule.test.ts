import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  decideScale,
  type ScalingBounds,
  type ScalingDecision,
  type ScalingMemory,
  type ScalingSample,
  TARGET
} from '../../src/primary/autoscaling/scaling-rule.ts'

const bounds: ScalingBounds = { min: 2, max: 8, limit: 'range', scaleDownMs: 10_000 }

/** A service that follows the rule at once: a sample per second. */
class Service {
  memory: ScalingMemory = { peaks: [] }
  now = 0
  desired: number
  isReloading = false
  bounds = bounds

  constructor(desired = 2) {
    this.desired = desired
  }

  /** @returns the decisions of `seconds` samples with this load */
  run(load: number, seconds = 1, special: Partial<ScalingSample> = {}): ScalingDecision[] {
    return Array.from({ length: seconds }, () => {
      this.now += 1000
      const { now, desired, isReloading } = this
      const sample = { now, load, measured: desired, desired, bootMs: 500, isReloading, ...special }
      const decision = decideScale(this.memory, sample, this.bounds)
      this.memory = decision.memory
      this.desired = decision.target
      return decision
    })
  }
}

describe('the rule of autoscaling', () => {
  test('keeps the number of workers while the load is far from both limits', () => {
    const service = new Service()
    for (const { target, why } of service.run(0.8, 100)) assert.deepEqual([target, why], [2, undefined])
  })

  test('rises within two samples of a step, to what the load needs', () => {
    const service = new Service()
    service.run(0.1, 10)
    service.run(2, 2)
    assert.ok(service.desired >= 4, `${service.desired}`)
  })

  test('doubles saturated workers, which cannot show how much they lack', () => {
    const service = new Service()
    service.memory = { ...service.run(2, 1)[0]!.memory, trend: { level: 2, slope: 0, at: service.now } }
    service.desired = 2
    const [{ target, why } = assert.fail()] = service.run(2)
    assert.equal(target, 4)
    assert.equal(why, 'load 2.00 saturates 2 workers')
  })

  test('takes workers for saturated from a utilisation of 0.9 on', () => {
    assert.equal(new Service(2).run(1.8)[0]!.target, 4)
    assert.equal(new Service(2).run(1.79)[0]!.target, 3)
  })

  test('takes what the load is expected to need, where this is more than twice the saturated workers', () => {
    const service = new Service()
    service.memory = { peaks: [], trend: { level: 2, slope: 0.5, at: 0 } }
    assert.equal(service.run(2, 1, { bootMs: 20_000 })[0]!.target, 8)
  })

  test('says what is expected, when, and how many workers this needs', () => {
    const service = new Service()
    service.memory = { peaks: [], trend: { level: 1.5, slope: 0, at: 0 } }
    const [{ target, why } = assert.fail()] = service.run(1.5)
    assert.deepEqual([target, why], [3, 'load 1.50, 1.50 expected in 2.0 s: 3 workers needed'])
  })

  test('wants no further worker when each is exactly at the target', () => {
    for (let workers = 2; workers <= 8; workers++) {
      assert.equal(new Service(workers).run(workers * TARGET)[0]!.target, workers)
    }
  })

  test('remembers a load that stays the same once', () => {
    const service = new Service()
    service.run(0.8, 50)
    assert.deepEqual(service.memory.peaks, [{ at: 50_000, load: 0.8 }])
  })

  test('counts workers that do not serve yet: it does not ask for them twice', () => {
    const service = new Service(2)
    service.run(2, 3)
    const asked = service.desired
    service.run(2, 20, { measured: 2 })
    assert.equal(service.desired, asked)
  })

  test('expects a rising load at the end of a boot, so slow boots begin earlier', () => {
    const firstRise = (bootMs: number) => {
      const service = new Service()
      const decisions = Array.from({ length: 200 }, (_, second) => service.run(0.5 + second * 0.01, 1, { bootMs })[0]!)
      return decisions.findIndex(({ target }) => target > 2)
    }
    const [slow, quick] = [firstRise(20_000), firstRise(500)]
    assert.ok(slow > 0 && slow < quick - 10, `${slow}, ${quick}`)
  })

  test('falls by one worker at a time, after the load was low for the whole time', () => {
    const service = new Service(6)
    service.run(4, 5)
    const falls = service.run(0.2, 60).flatMap(({ why, target }, i) => (why ? { second: i + 1, target, why } : []))
    assert.deepEqual(
      falls.map(({ target }) => target),
      [5, 4, 3, 2]
    )
    assert.deepEqual(
      falls.map(({ second }) => second),
      [10, 13, 16, 19]
    )
    assert.match(falls[1]!.why, /^load at most [\d.]+ for 10 s$/)
  })

  test('keeps its workers when a burst comes more often than the time of the fall', () => {
    const service = new Service(4)
    for (let i = 0; i < 20; i++) {
      const decisions = [...service.run(2.5, 1), ...service.run(0.1, 8)]
      assert.ok(decisions.every(({ target }) => target >= 4))
    }
  })

  test('gives up the next worker after a quarter of the time', () => {
    const service = new Service(5)
    service.bounds = { ...bounds, scaleDownMs: 8000 }
    const falls = service.run(0.2, 20).flatMap(({ why }, i) => (why ? [i] : []))
    assert.deepEqual(falls, [8, 10, 12])
  })

  test('gives up a worker if the others stay at 60 % or below', () => {
    const service = new Service(6)
    service.run(3, 60)
    assert.equal(service.desired, 5)
  })

  test('keeps workers that were expected to be needed for the whole time, even if the load does not come', () => {
    const service = new Service()
    service.run(0.1, 20)
    service.run(0.6, 1, { bootMs: 20_000 })
    assert.ok(service.desired > 3, `${service.desired}`)
    const falls = service.run(0.1, 20).flatMap(({ why }, i) => (why ? [i + 1] : []))
    assert.equal(falls[0], 10)
  })

  test('keeps workers no longer because more were expected to be needed than there may be', () => {
    const service = new Service(4)
    service.bounds = { ...bounds, max: 4 }
    service.run(1.9, 20)
    service.run(0.1, 5)
    const [{ limit } = assert.fail()] = service.run(1.7, 1, { bootMs: 100_000 })
    assert.equal(limit, 'range')
    const falls = service.run(0.1, 20).flatMap(({ why }, i) => (why ? [i + 1] : []))
    assert.equal(falls[0], 4)
  })

  test('does not swing: the load that makes a worker superfluous is lower than the one that asks for it', () => {
    for (let load = 0.1; load < 5.4; load += 0.05) {
      const service = new Service()
      service.run(load, 60)
      const settled = service.desired
      const later = new Set(service.run(load, 200).map(({ target }) => target))
      assert.ok(later.size <= 2 && Math.min(...later) >= settled - 2, `${load}: ${[...later]}`)
      assert.equal(service.run(load, 200).filter(({ why, limit }) => why && !limit).length, 0, `${load}`)
    }
  })

  test('rises but never falls during a reload', () => {
    const service = new Service(4)
    service.isReloading = true
    service.run(0.1, 100)
    assert.equal(service.desired, 4)
    service.run(4, 3)
    assert.ok(service.desired > 4)
    service.isReloading = false
    service.run(0.1, 100)
    assert.equal(service.desired, 2)
  })

  test('names what prevents a higher number', () => {
    for (const [limit, text] of [
      ['range', 'the range allows 3'],
      ['cpu', 'the CPU quota allows 3'],
      ['memory', 'the memory allows 3']
    ] as const) {
      const service = new Service()
      service.bounds = { ...bounds, max: 3, limit }
      service.run(2, 3)
      const [last = assert.fail()] = service.run(3)
      assert.deepEqual([last.target, last.limit], [3, limit])
      assert.ok(last.why?.endsWith(`; ${text}`), last.why)
    }
  })

  test('names no limit when the highest number suffices', () => {
    const service = new Service()
    service.bounds = { ...bounds, max: 4 }
    const [{ target, limit, why } = assert.fail()] = service.run(2)
    assert.deepEqual([target, limit, why], [4, undefined, 'load 2.00 saturates 2 workers'])
  })

  test('follows new limits at once, but gives up no worker for them during a reload', () => {
    const service = new Service(6)
    service.bounds = { ...bounds, max: 4, limit: 'memory' }
    service.isReloading = true
    assert.equal(service.run(3)[0]!.target, 6)
    service.isReloading = false
    assert.deepEqual(
      [service.run(3)[0]].map((decision) => [decision?.target, decision?.why]),
      [[4, 'the memory allows 4']]
    )
    service.bounds = { ...bounds, min: 5 }
    const [{ target, why } = assert.fail()] = service.run(0)
    assert.deepEqual([target, why], [5, 'the range begins at 5'])
    assert.equal(service.run(0)[0]!.target, 5)
  })

  test('decides nothing while no worker has reported', () => {
    const service = new Service()
    assert.deepEqual(service.run(0, 1, { measured: 0 }), [{ memory: { peaks: [] }, target: 2 }])
  })
})
