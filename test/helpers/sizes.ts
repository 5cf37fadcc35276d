/**
 * Returns how often a test in test/long repeats what it does.
 * @param name environment variable that sets it
 * @param full default; LONG_SCALE (a number above 0, default 1) multiplies it, and the result is at least 1
 * @throws when one of the variables is not a number above 0
 */
export function sizeOf(name: string, full: number): number {
  return Math.max(1, Math.round(positive(name) ?? full * (positive('LONG_SCALE') ?? 1)))
}

function positive(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new Error(`${name} must be a number above 0, it is "${text}"`)
  return value
}
