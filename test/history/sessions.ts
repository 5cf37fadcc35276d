import { groupBy, hasReturned, type SessionOperation, type Violation } from './operations.ts'
import { checkRegister, type Register } from './registers.ts'

interface State {
  isEnded: boolean
  value: number | null
}

/** One key of a session: a register until the session ends. Nothing can be read or written after that. */
export const SESSION_KEY: Register<State, SessionOperation> = {
  initial: { isEnded: false, value: null },
  textOf: ({ isEnded, value }) => `${isEnded} ${value}`,
  isWrite: ({ kind }) => kind !== 'get',
  isSeenBy: (write, other) =>
    hasReturned(other) &&
    (write.kind === 'sign-out' ? other.isGone === true : other.kind === 'get' && other.value === write.value),
  step(state, { kind, value = null, isGone = false }) {
    if (kind === 'sign-out') return { isEnded: true, value: null }
    if (isGone) return state.isEnded ? state : undefined
    if (kind === 'put') return state.isEnded ? state : { isEnded: false, value }
    return !state.isEnded && state.value === value ? state : undefined
  }
}

/**
 * Checks a session: each key is a register, and a session that has ended never comes back.
 * @param operations of one session, in any order
 */
export function checkSession(operations: readonly SessionOperation[]): Violation<SessionOperation>[] {
  const object = `session ${operations[0]?.object}`
  const ofAllKeys = operations.filter(({ key }) => key === null)
  // Without any key, the session may still be gone before its sign-out.
  if (ofAllKeys.length === operations.length) return checkRegister(object, SESSION_KEY, operations)
  const ofKeys = groupBy(
    operations.filter(({ key }) => key !== null),
    ({ key }) => String(key)
  )
  return [...ofKeys].flatMap(([key, ofKey]) =>
    checkRegister(`${object}, key ${key}`, SESSION_KEY, [...ofKey, ...ofAllKeys])
  )
}
