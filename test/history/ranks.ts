import { byCall, endOf, hasReturned, type Interval, type Violation } from './operations.ts'

/** An operation with a place in the order that its result tells. */
export interface Ranked<O extends Interval> {
  operation: O
  /** The number of an increment or a write; what a read sees. */
  rank: number
  /** A read of rank n comes after the write n and before the write n + 1. */
  isRead: boolean
}

/**
 * Checks operations whose results tell their order: writes with consecutive numbers, each given once, and reads of the last
 * number. Such a history is linearizable if and only if
 *
 * - no two writes have one number;
 * - no operation returned before another one of a lower rank was called;
 * - every number up to the highest one that no write returned can belong to a write with an unknown outcome that was called
 *   before any operation of a higher rank returned, another write for each number.
 *
 * So no search is needed, and a million operations take seconds.
 *
 * @param ranked operations that returned
 * @param unknown writes with an unknown outcome
 * @param first the first number
 */
export function checkRanks<O extends Interval>(
  object: string,
  ranked: readonly Ranked<O>[],
  unknown: readonly O[],
  first = 1
): Violation<O>[] {
  const sorted = ranked.toSorted((a, b) => a.rank - b.rank || Number(a.isRead) - Number(b.isRead))
  const violation =
    findRepeated(object, sorted) ?? findGap(object, sorted, unknown, first) ?? findInversion(object, sorted)
  return violation ? [violation] : []
}

function findRepeated<O extends Interval>(object: string, sorted: readonly Ranked<O>[]): Violation<O> | undefined {
  const writes = sorted.filter(({ isRead }) => !isRead)
  for (const [i, { rank, operation }] of writes.entries()) {
    if (writes[i + 1]?.rank !== rank) continue
    const operations = [operation, writes[i + 1]!.operation].sort(byCall)
    return { object, rule: `the number ${rank} was given twice`, operations }
  }
  return
}

/**
 * Gives each missing number to the unknown write that was called first. As a later number leaves more time, this fails only if
 * every other choice does.
 */
function findGap<O extends Interval>(
  object: string,
  sorted: readonly Ranked<O>[],
  unknown: readonly O[],
  first: number
): Violation<O> | undefined {
  const firstToReturn = suffixMinima(sorted.map(({ operation }) => operation))
  const spare = unknown.toSorted(byCall)
  let next = first
  for (const [i, one] of sorted.entries()) {
    const isTooLow = one.rank < (one.isRead ? first - 1 : first)
    if (isTooLow) return { object, rule: `${one.rank} is below the first number`, operations: [one.operation] }
    for (; next < one.rank + (one.isRead ? 1 : 0); next++) {
      const after = firstToReturn[i]!
      const write = spare.shift()
      if (!write || write.invokedAt > endOf(after)) {
        const rule = `the number ${next} was counted, and no call can have counted it`
        return { object, rule, operations: [after, ...(write ? [write] : [])] }
      }
    }
    next = one.rank + 1
  }
  return
}

/** Finds an operation that returned before one of a lower rank was called. */
function findInversion<O extends Interval>(object: string, sorted: readonly Ranked<O>[]): Violation<O> | undefined {
  // Reads of one rank, and the write of that rank before them, may overlap in any order among the reads.
  let last: Ranked<O> | undefined
  let lastOfLowerRank: Ranked<O> | undefined
  let position = Number.NaN
  for (const one of sorted) {
    const at = positionOf(one)
    if (at !== position) lastOfLowerRank = last
    position = at
    if (lastOfLowerRank && endOf(one.operation) < lastOfLowerRank.operation.invokedAt) {
      const rule = `${nameOf(one)} had returned when ${nameOf(lastOfLowerRank)} was called`
      return { object, rule, operations: [one.operation, lastOfLowerRank.operation] }
    }
    if (!last || one.operation.invokedAt > last.operation.invokedAt) last = one
  }
  return
}

const positionOf = ({ rank, isRead }: Ranked<Interval>): number => rank + (isRead ? 0.5 : 0)

const nameOf = ({ rank, isRead }: Ranked<Interval>): string => (isRead ? `a read of ${rank}` : `number ${rank}`)

/** Returns for each index the operation that returned first from there on. */
function suffixMinima<O extends Interval>(operations: readonly O[]): O[] {
  const minima = [...operations]
  for (let i = minima.length - 1; i > 0; i--) {
    if (endOf(minima[i]!) < endOf(minima[i - 1]!)) minima[i - 1] = minima[i]!
  }
  return minima
}

/** Splits operations into those that returned, ranked by `rankOf`, and the others for which `isWrite` holds. */
export function rankAll<O extends Interval>(
  operations: readonly O[],
  rankOf: (operation: O) => number,
  isWrite: (operation: O) => boolean
): { ranked: Ranked<O>[]; unknown: O[] } {
  const ranked = operations
    .filter(hasReturned)
    .map((operation) => ({ operation, rank: rankOf(operation), isRead: !isWrite(operation) }))
  return { ranked, unknown: operations.filter((operation) => !hasReturned(operation) && isWrite(operation)) }
}
