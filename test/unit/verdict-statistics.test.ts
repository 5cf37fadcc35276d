import { ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  binomialInterval,
  hoeffdingQuantile,
  incompleteBeta,
  logGamma,
  studentQuantile
} from '../../src/verdict/statistics.ts'
import { normalTail } from '../helpers/distributions.ts'

describe('the statistics of the verdict', () => {
  it('knows the logarithm of the gamma function', () => {
    near(logGamma(5), Math.log(24), 1e-12)
    near(logGamma(0.5), Math.log(Math.PI) / 2, 1e-12)
    near(logGamma(171), Array.from({ length: 170 }, (_, i) => Math.log(i + 1)).reduce(add), 1e-9)
  })

  it('integrates the beta distribution as a numeric integration does', () => {
    for (const [x, a, b] of [
      [0.2, 2, 3],
      [0.9, 4, 2.5],
      [0.03, 2.5, 40],
      [0.9999, 3, 3]
    ] as const) {
      const whole = integrate((p) => p ** (a - 1) * (1 - p) ** (b - 1), 0, 1)
      near(incompleteBeta(x, a, b), integrate((p) => p ** (a - 1) * (1 - p) ** (b - 1), 0, x) / whole, 1e-6)
    }
    ok(incompleteBeta(0, 2, 3) === 0 && incompleteBeta(1, 2, 3) === 1)
  })

  it('knows the tails of Student’s t: the values of printed tables, and those of a numeric integration', () => {
    near(studentQuantile(0.025, 10), 2.228, 0.001)
    near(studentQuantile(0.001, 5), 5.893, 0.001)
    near(studentQuantile(0.01, 1), 31.821, 0.001)
    const density = (t: number) => (1 + t ** 2 / 20) ** -10.5
    const quantile = studentQuantile(1e-6, 20)
    near(integrate(density, quantile, 400) / integrate(density, -400, 400) / 1e-6, 1, 0.001)
  })

  it('comes close to the normal distribution with many degrees of freedom', () => {
    near(normalTail(studentQuantile(0.001, 100_000)), 0.001, 1e-6)
  })

  it('bounds sums of random signs, whatever their sizes', () => {
    for (const sizes of [Array(16).fill(1), Array.from({ length: 16 }, (_, i) => 1.5 ** i)]) {
      const length = Math.sqrt(sizes.map((size: number) => size ** 2).reduce(add))
      for (const tail of [0.3, 0.05, 0.001]) {
        const bound = hoeffdingQuantile(tail) * length
        ok(shareOfSigns(sizes, bound) <= tail, `${tail} of ${sizes}`)
      }
    }
    near(hoeffdingQuantile(Math.exp(-8)), 4, 1e-12)
  })

  it('puts the ends of a binomial interval where the mixture likelihood ratio is 1 / alpha', () => {
    for (const [hits, count, prior] of [
      [3, 40, 0.05],
      [25, 60, 0.05],
      [19, 20, 0.5]
    ] as const) {
      const alpha = 0.001
      // The density of Beta(0.5, b) has poles. With p = sin(x) ** 2 it has none.
      const b = (0.5 * (1 - prior)) / prior
      const density = (x: number) => Math.cos(x) ** (2 * b - 1)
      const likelihood = (p: number) => p ** hits * (1 - p) ** (count - hits)
      const mixture =
        integrate((x) => density(x) * likelihood(Math.sin(x) ** 2), 0, Math.PI / 2) / integrate(density, 0, Math.PI / 2)
      for (const p of binomialInterval(hits, count, alpha, prior)) near((mixture / likelihood(p)) * alpha, 1, 1e-6)
    }
  })

  it('gives binomial intervals that are open where nothing was seen', () => {
    ok(binomialInterval(0, 0, 0.001, 0.5)[0] === 0 && binomialInterval(0, 0, 0.001, 0.5)[1] === 1)
    ok(binomialInterval(0, 50, 0.001, 0.5)[0] === 0)
    ok(binomialInterval(50, 50, 0.001, 0.5)[1] === 1)
  })

  it('treats hits and misses alike if the prior does', () => {
    const [lower, upper] = binomialInterval(7, 30, 0.01, 0.5)
    const [mirroredLower, mirroredUpper] = binomialInterval(23, 30, 0.01, 0.5)
    near(lower, 1 - mirroredUpper, 1e-9)
    near(upper, 1 - mirroredLower, 1e-9)
  })

  it('narrows binomial intervals with more evidence, and widens them for a smaller alpha', () => {
    const width = ([lower, upper]: [number, number]) => upper - lower
    ok(width(binomialInterval(50, 1000, 0.01, 0.05)) < width(binomialInterval(5, 100, 0.01, 0.05)))
    ok(width(binomialInterval(5, 100, 0.0001, 0.05)) > width(binomialInterval(5, 100, 0.01, 0.05)))
    ok(binomialInterval(6, 100, 0.01, 0.05)[0] > binomialInterval(5, 100, 0.01, 0.05)[0])
  })
})

const add = (a: number, b: number) => a + b

/** The share of all assignments of signs whose sum reaches the bound. */
function shareOfSigns(sizes: readonly number[], bound: number): number {
  const all = 2 ** sizes.length
  let reached = 0
  for (let signs = 0; signs < all; signs++) {
    if (sizes.reduce((sum, size, i) => sum + (signs & (1 << i) ? size : -size), 0) >= bound) reached++
  }
  return reached / all
}

/** By Simpson's rule. */
function integrate(f: (x: number) => number, from: number, to: number): number {
  const steps = 20_000
  const width = (to - from) / steps
  let sum = f(from) + f(to)
  for (let i = 1; i < steps; i++) sum += f(from + i * width) * (i % 2 === 1 ? 4 : 2)
  return (sum * width) / 3
}

function near(actual: number, expected: number, tolerance: number): void {
  ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`)
}
