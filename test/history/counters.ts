import type { CounterOperation, Violation } from './operations.ts'
import { checkRanks, rankAll } from './ranks.ts'

/**
 * Checks one counter: every increment that returned has a number of its own, numbers have the order of real time, reads agree, and
 * a call with an unknown outcome counted at most once.
 *
 * A test records each call and passes them all:
 *
 *     const operations: CounterOperation[] = []
 *     const invokedAt = nowMs()
 *     const answer = await hit().catch(() => undefined)
 *     const returned = answer?.status === 200 ? { returnedAt: nowMs(), number: answer.hits } : { returnedAt: null }
 *     operations.push({ id, process: 'client 1', model: 'counter', object: 'hits', kind: 'increment', invokedAt, ...returned })
 *     …
 *     assert.deepEqual(checkCounter(operations), [])
 *
 * Leave out calls that certainly were not sent, such as a refused connection. Record a read at the end, with `kind: 'read'` and the
 * value as `number`: it limits what unknown outcomes may have counted. {@link Recorder} does the bookkeeping.
 *
 * @param operations of one counter, in any order
 * @param first the first number
 */
export function checkCounter(operations: readonly CounterOperation[], first = 1): Violation<CounterOperation>[] {
  const { ranked, unknown } = rankAll(
    operations,
    ({ number }) => number!,
    ({ kind }) => kind === 'increment'
  )
  return checkRanks(`counter ${operations[0]?.object}`, ranked, unknown, first)
}
