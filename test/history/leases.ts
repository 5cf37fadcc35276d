import {
  byCall,
  endOf,
  groupBy,
  type HoldOperation,
  hasReturned,
  isBefore,
  type OnceOperation,
  type Violation
} from './operations.ts'

/**
 * Checks holds of locks and runs of `every`: never two holders of one lock at a time, fences grow from holder to holder, also from
 * one lock to another, and a job runs at most once in a period.
 * @param holds of any locks and jobs, in any order
 */
export function checkHolds(holds: readonly HoldOperation[]): Violation<HoldOperation>[] {
  const byName = groupBy(holds, nameOf)
  return [...[...byName.values()].flatMap(checkHoldsOfOne), ...checkFences(holds)]
}

const nameOf = ({ model, object }: HoldOperation): string => `${model} ${object}`

/** Checks neighbours: when they are in order, all holds are. */
function checkHoldsOfOne(holds: readonly HoldOperation[]): Violation<HoldOperation>[] {
  const sorted = holds.toSorted((a, b) => byCall(a, b) || endOf(a) - endOf(b))
  for (const [i, first] of sorted.entries()) {
    const second = sorted[i + 1]
    const rule = second && ruleBrokenBy(first, second)
    if (rule) return [{ object: nameOf(first), rule, operations: [first, second] }]
  }
  return []
}

/** @returns undefined when both holds, of which the first one began first, can be right */
function ruleBrokenBy(first: HoldOperation, second: HoldOperation): string | undefined {
  if (second.invokedAt < endOf(first)) return 'two holders at a time'
  if (second.fence <= first.fence) return 'the fence of a later holder is not higher'
  if (second.model === 'lock' || second.period! > first.period!) return undefined
  return second.period === first.period ? 'two runs in one period' : 'a run for an earlier period'
}

/** Checks that a lock that was asked for after another one had been granted has the higher fence. */
function checkFences(holds: readonly HoldOperation[]): Violation<HoldOperation>[] {
  const granted = holds.toSorted(byCall)
  const asked = holds.filter(({ askedAt }) => askedAt !== undefined).sort((a, b) => a.askedAt! - b.askedAt!)
  let highest: HoldOperation | undefined
  let next = 0
  for (const hold of asked) {
    for (; granted[next]!.invokedAt < hold.askedAt!; next++) {
      if (!highest || granted[next]!.fence > highest.fence) highest = granted[next]!
    }
    if (highest && hold.fence <= highest.fence) {
      return [{ object: 'fences', rule: 'a later grant has no higher fence', operations: [highest, hold] }]
    }
  }
  return []
}

/**
 * Checks calls of `once` with one name: the function succeeds in one of them at most, and a call is refused only if another one may
 * run or have run.
 * @param calls with one name, in any order
 */
export function checkOnce(calls: readonly OnceOperation[]): Violation<OnceOperation>[] {
  const object = `once ${calls[0]?.object}`
  const successes = calls.filter(({ result }) => result === 'ran').sort(byCall)
  if (successes.length > 1) return [{ object, rule: 'the function succeeded twice', operations: successes }]
  const others = calls.filter(({ result }) => result !== 'refused')
  const unexplained = calls.find((call) => call.result === 'refused' && others.every((other) => isBefore(call, other)))
  if (unexplained) return [{ object, rule: 'a call was refused, and no other one ran', operations: [unexplained] }]
  return []
}

/**
 * Checks that every piece of work was done in the end.
 * @param calls of any names; the last call of each name must have been made after all faults and repeated until it returned
 */
export function checkAllDone(calls: readonly OnceOperation[]): Violation<OnceOperation>[] {
  return [...groupBy(calls, ({ object }) => object)].flatMap(([name, ofName]) => {
    const isDone = ofName.some((call) => call.result === 'ran' || !hasReturned(call))
    return isDone ? [] : [{ object: `once ${name}`, rule: 'the function never succeeded', operations: ofName }]
  })
}
