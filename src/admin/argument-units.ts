const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** @param text fits the schema `duration` @returns ms */
export function durationOf(text: string): number {
  const [, digits, unit] = /^(\d+)(ms|[smhd])$/.exec(text)!
  return Number(digits) * UNITS_MS[unit as keyof typeof UNITS_MS]
}

/** @param text fits the schema `share` @returns a number from 0 to 1 */
export const shareOf = (text: string): number => Number.parseFloat(text) / 100
