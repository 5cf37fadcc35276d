import { checkCounter } from './counters.ts'
import { checkAllDone, checkHolds, checkOnce } from './leases.ts'
import { groupBy, type HoldOperation, type Operation, type Violation } from './operations.ts'
import { checkSession } from './sessions.ts'
import { checkSettings } from './settings.ts'

/** Checks a whole history, each kind of object by its own rules. */
export function checkHistory(operations: readonly Operation[]): Violation[] {
  const of = <M extends Operation['model']>(model: M) =>
    operations.filter((operation): operation is Extract<Operation, { model: M }> => operation.model === model)
  const byObject = <O extends Operation>(some: O[]) => [...groupBy(some, ({ object }) => object).values()]
  const holds = operations.filter((one): one is HoldOperation => one.model === 'lock' || one.model === 'every')
  return [
    ...byObject(of('counter')).flatMap((some) => checkCounter(some)),
    ...checkSettings(of('settings')),
    ...byObject(of('session')).flatMap(checkSession),
    ...checkHolds(holds),
    ...byObject(of('once')).flatMap(checkOnce),
    ...checkAllDone(of('once'))
  ]
}
