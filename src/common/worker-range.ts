/** Between how many workers the service chooses by its load. */
export interface WorkerRange {
  min: number
  max: number
}

const EXAMPLE = 'write both numbers, such as 2..8'

/** True for texts that are meant as a range, valid or not. */
export const isRangeText = (text: string): boolean => text.includes('..')

/**
 * Reads a range such as 2..8.
 * @param auto the number that `auto` stands for, as in 2..auto
 * @returns the range, or what is wrong with it and what to do
 */
export function parseRange(text: string, auto: number): WorkerRange | string {
  const [, first = '', second = ''] = /^(.*?)\.\.(.*)$/.exec(text) ?? []
  const [min, max] = [first, second].map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : undefined))
  const upper = second === 'auto' ? auto : max
  if (min === undefined || upper === undefined) return `is no range from one number to another: ${EXAMPLE}`
  if (min < 1) return `a service has 1 worker at least: write 1..${Math.max(1, upper)}`
  if (min > upper) {
    const remedy = second === 'auto' ? `auto is ${auto} here: write a number` : `write ${upper}..${min}`
    return `a range begins with its smaller number: ${remedy}`
  }
  return { min, max: upper }
}

export const rangeText = ({ min, max }: WorkerRange): string => `${min}..${max}`
