import type { Random } from './random.ts'

/** Counts above this are drawn from the normal distribution, rounded: the sums of a simulation do not show the difference. */
const NORMAL_FROM = 30

/** A standard normal number (Box and Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}

/** How many of independent events happen whose mean number is `mean`. */
export function poisson(random: Random, mean: number): number {
  if (mean > NORMAL_FROM) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  let left = random.next()
  let term = Math.exp(-mean)
  let count = 0
  while (left >= term && count < 1000) {
    left -= term
    count++
    term *= mean / count
  }
  return count
}

/** How many of `count` trials succeed. */
export function binomial(random: Random, count: number, probability: number): number {
  if (count === 0 || probability <= 0) return 0
  if (probability >= 1) return count
  if (probability > 0.5) return count - binomial(random, count, 1 - probability)
  const mean = count * probability
  if (mean > NORMAL_FROM) {
    const drawn = Math.round(mean + Math.sqrt(mean * (1 - probability)) * normal(random))
    return Math.min(count, Math.max(0, drawn))
  }
  let left = random.next()
  const odds = probability / (1 - probability)
  let term = (1 - probability) ** count
  let successes = 0
  while (left >= term && successes < count) {
    left -= term
    term *= (odds * (count - successes)) / (successes + 1)
    successes++
  }
  return successes
}

/** A number above 1 whose tail falls with the power `exponent`. */
export const pareto = (random: Random, exponent: number) => (1 - random.next()) ** (-1 / exponent)

/** The probability that a standard normal number is above `z` (Abramowitz and Stegun 26.2.17, error below 1e-7). */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z)
  const t = 1 / (1 + 0.2316419 * z)
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * polynomial
}
