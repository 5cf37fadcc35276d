const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7
]
const BISECTIONS = 60

/** The natural logarithm of the gamma function, for arguments of 0.5 and above (Lanczos, g = 7). */
export function logGamma(x: number): number {
  let sum = 0.99999999999980993
  for (const [i, coefficient] of LANCZOS.entries()) sum += coefficient / (x + i)
  const t = x + 6.5
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

export const logBeta = (a: number, b: number) => logGamma(a) + logGamma(b) - logGamma(a + b)

/** The regularised incomplete beta function for `x` from 0 to 1, by the continued fraction of Lentz (Numerical Recipes, 6.4). */
export function incompleteBeta(x: number, a: number, b: number): number {
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b))
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b
}

function betaFraction(x: number, a: number, b: number): number {
  let c = 1
  let d = 1 / (1 - ((a + b) * x) / (a + 1))
  let result = d
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    for (const term of [even, odd]) {
      d = 1 / (1 + term * d)
      c = 1 + term / c
      result *= c * d
    }
    if (Math.abs(c * d - 1) < 1e-14) break
  }
  return result
}

/**
 * Returns the value that a variable with Student's t distribution exceeds with probability `tail`.
 *
 * @param tail above 0, below 0.5
 * @param degrees degrees of freedom, 1 or more
 */
export function studentQuantile(tail: number, degrees: number): number {
  // t > q has half the probability of a beta variable below degrees / (degrees + q ** 2).
  const x = bisect(0, 1, (at) => incompleteBeta(at, degrees / 2, 0.5) / 2 < tail)
  return Math.sqrt((degrees * (1 - x)) / x)
}

/**
 * Returns the number of standard deviations that a sum of independent terms with random signs exceeds with at most the probability
 * `tail` (Hoeffding): it needs neither normal terms nor a minimal number of them.
 */
export const hoeffdingQuantile = (tail: number) => Math.sqrt(2 * Math.log(1 / tail))

/**
 * Returns a confidence sequence for the probability of a Bernoulli variable: the values whose mixture likelihood ratio has never
 * reached 1 / alpha. The probability that it ever fails to contain the true one is at most `alpha`, by the inequality of Ville.
 *
 * @param hits of `count` trials
 * @param prior the mean of the Beta distribution that the mixture is made of, where the interval is narrowest
 */
export function binomialInterval(hits: number, count: number, alpha: number, prior: number): [number, number] {
  const a = 0.5
  const b = (a * (1 - prior)) / prior
  const mixture = logBeta(hits + a, count - hits + b) - logBeta(a, b)
  const isExcluded = (probability: number) =>
    mixture - hits * Math.log(probability) - (count - hits) * Math.log(1 - probability) >= -Math.log(alpha)
  const best = hits / Math.max(1, count)
  const lower = hits === 0 ? 0 : bisect(0, best, isExcluded)
  const upper = hits === count ? 1 : bisect(best, 1, (at) => !isExcluded(at))
  return [lower, upper]
}

/** @returns the place between `low` and `high` where `isBelow` turns from true to false */
function bisect(low: number, high: number, isBelow: (at: number) => boolean): number {
  let [from, to] = [low, high]
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (from + to) / 2
    if (isBelow(middle)) from = middle
    else to = middle
  }
  return (from + to) / 2
}
