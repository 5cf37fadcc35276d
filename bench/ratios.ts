import { fixed } from './markdown.ts'

/** The middle value, or the mean of the two in the middle, of the numbers among the values. */
export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (lower + upper) / 2
}

/** Each value divided by that of the same round of what it is compared with; rounds that lack one are left out. */
export function paired(values: readonly number[], base: readonly number[]): number[] {
  return values.map((value, round) => value / (base[round] ?? Number.NaN)).filter(Number.isFinite)
}

/** `median (lowest–highest)`, the median alone where all are the same, or a dash for nothing. */
export function spread(values: readonly number[], digits: number): string {
  const all = values.filter(Number.isFinite)
  if (all.length === 0) return '–'
  const [lowest, highest] = [fixed(Math.min(...all), digits), fixed(Math.max(...all), digits)]
  const middle = fixed(median(all), digits)
  return lowest === highest ? middle : `${middle} (${lowest}–${highest})`
}
