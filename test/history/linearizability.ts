import { byCall, endOf, hasReturned, type Interval } from './operations.ts'

/** A sequential object. An operation with an unknown outcome (`returnedAt` is null) has no result to compare. */
export interface Model<S, O extends Interval> {
  initial: S
  /** Returns the state after the operation; undefined when the operation cannot have this result in this state. */
  step(state: S, operation: O): S | undefined
  /** Two states are equal when their texts are. */
  textOf(state: S): string
}

export type Outcome<O> =
  | { is: 'linearizable'; order: O[] }
  | { is: 'violation' }
  /** The search was ended after `maxStates`. */
  | { is: 'undecided' }

interface Frame<S> {
  state: S
  /** The operation that led here; undefined: the beginning. */
  by: number | undefined
  /** Operations that may come next, and the index of the first one that was not tried. */
  candidates: number[]
  next: number
}

const MAX_STATES = 1_000_000

/**
 * Looks for an order of the operations in which each one takes effect at one moment between its call and its return, and every
 * result is that of the sequential object. Operations with an unknown outcome may be left out.
 *
 * The algorithm is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), a depth-first search over the
 * operations that may come next. After Lowe ("Testing for linearizability", 2017) and Porcupine, a state that was reached before
 * with the same set of operations is not searched again.
 *
 * @param maxStates bounds the search
 */
export function linearize<S, O extends Interval>(
  model: Model<S, O>,
  operations: readonly O[],
  maxStates = MAX_STATES
): Outcome<O> {
  const sorted = operations.toSorted(byCall)
  const isPlaced = new Uint8Array(sorted.length)
  const seen = new Set<string>()
  let placed = 0n
  let left = sorted.filter(hasReturned).length
  const place = (index: number, by: 1 | -1) => {
    isPlaced[index] = by === 1 ? 1 : 0
    placed ^= 1n << BigInt(index)
    if (hasReturned(sorted[index]!)) left -= by
  }
  const stack: Frame<S>[] = [
    { state: model.initial, by: undefined, candidates: candidatesOf(sorted, isPlaced), next: 0 }
  ]
  for (let frame = stack[0]; frame; frame = stack.at(-1)) {
    if (left === 0) return { is: 'linearizable', order: stack.slice(1).map(({ by }) => sorted[by!]!) }
    const index = frame.candidates[frame.next++]
    if (index === undefined) {
      stack.pop()
      if (frame.by !== undefined) place(frame.by, -1)
      continue
    }
    const state = model.step(frame.state, sorted[index]!)
    if (state === undefined) continue
    place(index, 1)
    const text = `${placed.toString(36)} ${model.textOf(state)}`
    if (seen.has(text)) {
      place(index, -1)
      continue
    }
    if (seen.size >= maxStates) return { is: 'undecided' }
    seen.add(text)
    stack.push({ state, by: index, candidates: candidatesOf(sorted, isPlaced), next: 0 })
  }
  return { is: 'violation' }
}

/**
 * Returns the operations that may come next: those called before any other one without a place has returned. The first to return is
 * tried first, and unknown outcomes last.
 */
function candidatesOf(sorted: readonly Interval[], isPlaced: Uint8Array): number[] {
  const candidates: number[] = []
  let firstEnd = Number.POSITIVE_INFINITY
  for (const [index, operation] of sorted.entries()) {
    if (isPlaced[index] === 1) continue
    if (operation.invokedAt > firstEnd) break
    candidates.push(index)
    firstEnd = Math.min(firstEnd, endOf(operation))
  }
  // The difference of two unknown ends is NaN, which "sort" takes for 0.
  return candidates.sort((a, b) => endOf(sorted[a]!) - endOf(sorted[b]!))
}
