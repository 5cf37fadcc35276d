import { byCall, endOf, groupBy, hasReturned, isBefore, type SettingsOperation, type Violation } from './operations.ts'
import { checkRanks, rankAll } from './ranks.ts'
import { checkRegister, type Register } from './registers.ts'

interface State {
  /** No later operation can have a lower version, and no later write the same one. */
  version: number
  value: string | null
}

/** One setting: a register whose writes get rising versions. A read may see a version that a write of another setting got. */
export const SETTING: Register<State, SettingsOperation> = {
  initial: { version: 0, value: null },
  textOf: ({ version, value }) => `${version} ${value}`,
  isWrite: ({ kind }) => kind === 'set',
  isSeenBy: ({ value }, other) => other.kind === 'read' && hasReturned(other) && other.value === value,
  step(state, { kind, value, version, returnedAt }) {
    if (kind === 'read')
      return version! >= state.version && value === state.value ? { version: version!, value } : undefined
    const next = returnedAt === null ? state.version + 1 : version!
    return next > state.version ? { version: next, value } : undefined
  }
}

/**
 * Checks the settings of one service of any number of hosts:
 *
 * - versions are given once and in the order of real time, and reads of Redis see the last one;
 * - each setting is a register;
 * - the copy of a worker never goes back, has every write that returned in that worker, shows the value that belongs to its version,
 *   and is not behind when {@link SettingsOperation.isCalm}.
 *
 * @param operations of all settings, in any order
 */
export function checkSettings(operations: readonly SettingsOperation[]): Violation<SettingsOperation>[] {
  const strong = operations.filter(({ kind }) => kind !== 'copy')
  const { ranked, unknown } = rankAll(
    strong,
    ({ version }) => version!,
    ({ kind }) => kind === 'set'
  )
  return [
    ...checkRanks('settings', ranked, unknown),
    ...[...groupBy(strong, ({ object }) => object)].flatMap(([name, ofSetting]) =>
      checkRegister(`setting ${name}`, SETTING, ofSetting)
    ),
    ...checkOrderInWorkers(operations),
    ...[...groupBy(operations, ({ object }) => object)].flatMap(([name, ofSetting]) => checkCopies(name, ofSetting))
  ]
}

/** Checks that no copy of a worker is older than an earlier copy or an earlier write of the same worker. */
function checkOrderInWorkers(operations: readonly SettingsOperation[]): Violation<SettingsOperation>[] {
  const inWorkers = operations.filter((one) => hasReturned(one) && one.kind !== 'read')
  for (const ofWorker of groupBy(inWorkers, ({ process }) => process).values()) {
    const byEnd = ofWorker.toSorted((a, b) => endOf(a) - endOf(b))
    let newest: SettingsOperation | undefined
    let next = 0
    for (const copy of ofWorker.filter(({ kind }) => kind === 'copy').sort(byCall)) {
      for (; isBefore(byEnd[next]!, copy); next++) {
        if (!newest || byEnd[next]!.version! > newest.version!) newest = byEnd[next]
      }
      if (!newest || copy.version! >= newest.version!) continue
      return [{ object: `settings of ${copy.process}`, rule: 'the copy went back', operations: [newest, copy] }]
    }
  }
  return []
}

/** Checks the values of the copies of one setting, and that calm ones are not behind. */
function checkCopies(name: string, operations: readonly SettingsOperation[]): Violation<SettingsOperation>[] {
  const writes = operations.filter(({ kind }) => kind === 'set')
  const known = writes.filter(hasReturned).sort((a, b) => a.version! - b.version!)
  const writeOf = new Map(writes.map((write) => [write.value, write]))
  for (const copy of operations.filter((one) => one.kind === 'copy' && hasReturned(one))) {
    const wrong = (rule: string, ...others: SettingsOperation[]): Violation<SettingsOperation>[] => [
      { object: `setting ${name} in ${copy.process}`, rule, operations: [...others, copy].sort(byCall) }
    ]
    const write = writeOf.get(copy.value)
    if (copy.value !== null && !write) return wrong('this value was never written')
    if (write && isBefore(copy, write)) return wrong('the value was written later', write)
    // A write with an unknown outcome may have any version: it has none here, and comparing it gives false.
    if (write && write.version! > copy.version!) return wrong('the value has a later version', write)
    const last = known.findLast((one) => one.version! <= copy.version!)
    if (last && (!write || last.version! > write.version!)) return wrong('the value is older than the version', last)
    const newest = copy.isCalm && known.findLast((one) => isBefore(one, copy) && one.version! > copy.version!)
    if (newest) return wrong('the copy is behind', newest)
  }
  return []
}
