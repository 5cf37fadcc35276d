import { linearize, type Model } from './linearizability.ts'
import { byCall, hasReturned, type Interval, type Violation } from './operations.ts'
import { shortestPart } from './shortest-part.ts'

/** A register whose writes differ from each other. */
export interface Register<S, O extends Interval> extends Model<S, O> {
  isWrite(operation: O): boolean
  /** Whether an operation shows that this write has taken effect. */
  isSeenBy(write: O, other: O): boolean
}

/**
 * Checks a register with a search.
 * @returns nothing when the history is linearizable
 */
export function checkRegister<S, O extends Interval>(
  object: string,
  register: Register<S, O>,
  operations: readonly O[],
  maxStates?: number
): Violation<O>[] {
  const check = (history: readonly O[]) => linearize(register, withoutEffect(register, history), maxStates).is
  const outcome = check(operations)
  if (outcome === 'linearizable') return []
  if (outcome === 'undecided') return [{ object, rule: 'the search for an order was given up', operations: [] }]
  const part = shortestPart(
    operations,
    (history) => check(history) === 'violation',
    (operation, others) => !register.isWrite(operation) || !others.some((other) => register.isSeenBy(operation, other))
  )
  const byId = new Map(operations.map((operation) => [operation.id, operation]))
  return [
    { object, rule: 'no order explains the results', operations: part.map(({ id }) => byId.get(id)!).sort(byCall) }
  ]
}

/**
 * Leaves out what permits every order: reads without a result, and writes with an unknown outcome that no operation has seen. This
 * keeps the search short, however many calls have failed.
 */
function withoutEffect<S, O extends Interval>(register: Register<S, O>, operations: readonly O[]): O[] {
  return operations.filter(
    (operation) =>
      hasReturned(operation) ||
      (register.isWrite(operation) && operations.some((other) => register.isSeenBy(operation, other)))
  )
}
