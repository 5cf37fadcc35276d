import { endOf, type Interval } from './operations.ts'

/**
 * Returns a part of a wrong history that is still wrong and that cannot be shortened further.
 * @param isWrong must be true for `operations`, and for every history that one of its beginnings makes wrong
 * @param canDrop whether a correct history stays correct without the operation: it is an observation, or nothing observes it
 */
export function shortestPart<O extends Interval>(
  operations: readonly O[],
  isWrong: (part: O[]) => boolean,
  canDrop: (operation: O, others: O[]) => boolean
): O[] {
  let part = shortestBeginning(operations, isWrong)
  // Large pieces first: a long history takes few checks.
  for (let size = part.length; size >= 1; ) {
    const shorter = withoutPieces(part, size, isWrong, canDrop)
    if (shorter.length === part.length) size >>= 1
    part = shorter
  }
  return part
}

/** Leaves out every piece of `size` neighbours without which the history is still wrong, the last one first. */
function withoutPieces<O extends Interval>(
  operations: readonly O[],
  size: number,
  isWrong: (part: O[]) => boolean,
  canDrop: (operation: O, others: O[]) => boolean
): O[] {
  let part = [...operations]
  for (let end = operations.length; end > 0; end -= size) {
    const piece = new Set(operations.slice(Math.max(0, end - size), end))
    const others = part.filter((one) => !piece.has(one))
    const dropped = new Set([...piece].filter((one) => canDrop(one, others)))
    const rest = part.filter((one) => !dropped.has(one))
    if (rest.length < part.length && isWrong(rest)) part = rest
  }
  return part
}

/** Returns what was known at the first moment at which the history was wrong. Calls without a result by then are open. */
function shortestBeginning<O extends Interval>(operations: readonly O[], isWrong: (part: O[]) => boolean): O[] {
  const ends = operations.map(endOf).sort((a, b) => a - b)
  const until = (end: number) =>
    operations
      .filter(({ invokedAt }) => invokedAt <= end)
      .map((operation) => (endOf(operation) <= end ? operation : { ...operation, returnedAt: null }))
  let low = 0
  let high = ends.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (isWrong(until(ends[middle]!))) high = middle
    else low = middle + 1
  }
  return until(ends[low]!)
}
