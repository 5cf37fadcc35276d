import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { batchRadius } from '../../src/verdict/compare-latency.ts'
import { compareCpu, compareMemory } from '../../src/verdict/compare-process.ts'
import { near } from '../helpers/near.ts'
import { QUARTERS, side, steadily } from '../helpers/steady-trials.ts'

const TAIL = 0.025
const MIB = 2 ** 20

describe('the comparison of CPU time', () => {
  const canary = side({ seconds: 10, requests: 1000, cpuMicros: 240_000 })
  const control = side({ seconds: 20, requests: 2000, cpuMicros: 400_000 })
  const trial = { canary, control }
  /** Between processes, 15 % of standard deviation in a second are expected; the shorter side counts. */
  const variance = (2 * 0.15 ** 2) / 10
  const steady = batchRadius([0, 0, 0, 0], { variance, batches: 8 }, TAIL)
  const around = (ratio: number, radius: number) => [ratio * Math.exp(-radius) - 1, ratio * Math.exp(radius) - 1]

  it('is relative, per request, and tells the milliseconds of each side', () => {
    const result = compareCpu(trial, steadily(trial, QUARTERS), TAIL, 0.1)
    near([result.canary!, result.control!, result.estimate!], [0.24, 0.2, 0.2])
    near(result.interval, around(1.2, steady))
  })

  it('does not take a varying load for a difference', () => {
    const borders = steadily(trial, [0, 0.1, 0.5, 0.6, 1], [0, 0.3, 0.4, 0.9, 1])
    near(compareCpu(trial, borders, TAIL, 0.1).interval, around(1.2, steady))
  })

  it('is less certain if requests cost more in one period than in another, on either side', () => {
    for (const name of ['canary', 'control'] as const) {
      const borders = steadily(trial, QUARTERS)
      const total = trial[name].cpuMicros
      for (const [i, part] of [0, 0.7, 0.8, 0.9, 1].entries()) borders[i]![name].cpuMicros = part * total
      const radius = batchRadius([0.45, -0.15, -0.15, -0.15], { variance, batches: 8 }, TAIL)
      near(compareCpu(trial, borders, TAIL, 0.1).interval, around(1.2, radius))
    }
  })

  it('does not mind a period in which requests cost more on both sides', () => {
    const borders = steadily(trial, QUARTERS)
    for (const [i, part] of [0, 0.7, 0.8, 0.9, 1].entries()) {
      for (const name of ['canary', 'control'] as const) borders[i]![name].cpuMicros = part * trial[name].cpuMicros
    }
    near(compareCpu(trial, borders, TAIL, 0.1).interval, around(1.2, steady))
  })

  it('is no more certain than the number of connections allows', () => {
    const large = (name: 'canary' | 'control') => ({
      ...trial[name],
      units: trial[name].requests / 20,
      unitSquares: trial[name].requests * 20
    })
    const both = { canary: large('canary'), control: large('control') }
    const radius = Math.sqrt(2 * Math.log(1 / TAIL)) * 0.5 * Math.sqrt(20 / 1000 + 20 / 2000)
    near(compareCpu(both, steadily(both, QUARTERS), TAIL, 0.1).interval, around(1.2, radius))
  })

  it('never counts 20 µs per request, nor the tolerance', () => {
    const limitOf = (tolerance: number) => compareCpu(trial, steadily(trial, QUARTERS), TAIL, tolerance).limit
    near([limitOf(0.05), limitOf(0.2)], [0.1, 0.2])
  })

  it('finds no difference between processes that have used no CPU time yet', () => {
    const idle = { canary: { ...canary, cpuMicros: 0 }, control: { ...canary, cpuMicros: 0 } }
    near(compareCpu(idle, steadily(idle, QUARTERS), TAIL, 0.1).estimate, 0)
  })

  it('needs more than 20 connections of similar size, and 200 requests on each side', () => {
    const reasonOf = (ofCanary: number, ofControl: number) => {
      const few = {
        canary: { ...canary, ...side({ requests: ofCanary }) },
        control: { ...control, ...side({ requests: ofControl }) }
      }
      const { limit, reason } = compareCpu(few, steadily(few, QUARTERS), TAIL, 0.15)
      equal(limit, 0.15)
      return reason
    }
    deepEqual(
      [reasonOf(10, 10), reasonOf(11, 500), reasonOf(500, 199)],
      ['needs 1 more connection of similar size', 'needs 189 more requests', 'needs 1 more request']
    )
    const enough = { canary: side({ ...figuresOf(200) }), control: side({ ...figuresOf(200) }) }
    equal(compareCpu(enough, steadily(enough, QUARTERS), TAIL, 0.1).reason, undefined)
  })
})

const figuresOf = (requests: number) => ({ seconds: 10, requests, cpuMicros: 200 * requests })

describe('the comparison of memory', () => {
  const EIGHTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => i / 8)
  /** How much the memory of each side grows, and in how many seconds. */
  const growing = (canary: number, control: number, seconds: number) => ({
    canary: side({ seconds, memoryBytes: canary }),
    control: side({ seconds, memoryBytes: control })
  })
  const trial = growing(80 * MIB, 40 * MIB, 80)
  const borders = () => steadily(trial, EIGHTHS)
  const prior = (seconds: number) => ({
    variance: 2 * ((4 * MIB) / seconds) ** 2,
    batches: 16,
    leastFactor: 1 / 3
  })
  const around = (estimate: number, radius: number) => [estimate - radius, estimate + radius]

  it('is that of its growth per second', () => {
    const result = compareMemory(borders(), TAIL, 0.1)
    near([result.canary!, result.control!, result.estimate!], [MIB, MIB / 2, MIB / 2])
    near(result.interval, around(MIB / 2, batchRadius(Array(8).fill(0), prior(80), TAIL)))
  })

  it('does not take periods of different length for a difference', () => {
    const uneven = [0, 0.1, 0.2, 0.35, 0.5, 0.55, 0.6, 0.9, 1]
    near(compareMemory(steadily(trial, uneven), TAIL, 0.1).interval, compareMemory(borders(), TAIL, 0.1).interval!)
  })

  it('is less certain if the memory grows now and then, on either side', () => {
    const residuals = [1, -1, 1, -1, 1, -1, 1, -1].map((each) => (each * 4 * MIB) / 80)
    for (const [name, sign] of [
      ['canary', 1],
      ['control', -1]
    ] as const) {
      const wavy = borders()
      for (const i of [1, 3, 5, 7]) wavy[i]![name].memoryBytes! += sign * 4 * MIB
      near(compareMemory(wavy, TAIL, 0.1).interval, around(MIB / 2, batchRadius(residuals, prior(80), TAIL)))
    }
  })

  it('does not mind memory that both sides use at the same time', () => {
    const wavy = borders()
    for (const i of [1, 3, 5, 7]) {
      for (const name of ['canary', 'control'] as const) wavy[i]![name].memoryBytes! += 4 * MIB
    }
    near(compareMemory(wavy, TAIL, 0.1).interval, compareMemory(borders(), TAIL, 0.1).interval!)
  })

  it('begins when the memory of both sides is known', () => {
    for (const name of ['canary', 'control'] as const) {
      const late = borders()
      for (const border of late.slice(0, 4)) border[name].memoryBytes = undefined
      const result = compareMemory(late, TAIL, 0.1)
      near([result.canary!, result.control!], [MIB, MIB / 2])
      near(result.interval, around(MIB / 2, batchRadius([0, 0, 0, 0], prior(40), TAIL)))
    }
  })

  it('waits until four collections are known', () => {
    const { limit, reason } = compareMemory(borders().slice(0, 3), TAIL, 0.1)
    deepEqual([limit, reason], [65_536, 'waits for garbage collections in both processes'])
    equal(compareMemory(borders().slice(0, 4), TAIL, 0.1).reason, undefined)
  })

  it('looks at no more than eight periods: a collection that comes a little late is no evidence', () => {
    const fine = steadily(
      trial,
      Array.from({ length: 25 }, (_, i) => i / 24)
    )
    for (const [i, border] of fine.entries()) if (i % 3 !== 0) border.canary.memoryBytes! += 10 * MIB
    near(compareMemory(fine, TAIL, 0.1).interval, compareMemory(borders(), TAIL, 0.1).interval!)
  })

  it('never counts 16 MiB, 64 KiB per second, nor the tolerance, and takes 64 MiB for no worse', () => {
    const limitsOf = (control: number, seconds: number) => {
      const { limit, margin } = compareMemory(steadily(growing(control, control, seconds), EIGHTHS), TAIL, 0.1)
      return [limit, margin!]
    }
    near(limitsOf(0, 64), [MIB / 4, MIB])
    near(limitsOf(0, 10_000), [65_536, 65_536])
    near(limitsOf(2000 * MIB, 10), [20 * MIB, 20 * MIB])
  })
})
