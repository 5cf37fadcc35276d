import type { NumbersSeen, Observations } from '../observations.ts'
import { type Finding, skipped, unless } from './verdict.ts'

/** Promise 2: each number is given once, and what was counted is what was answered, and at most what failed. */
export function judgeHits({ hits }: Observations): Finding[] {
  if (typeof hits === 'string') return [skipped(hits)]
  const { answered, failed, duplicates, counted } = hits
  const figure = `${answered} hits answered, ${failed} failed, ${counted} counted`
  return [unless([duplicates > 0 && `${duplicates} numbers were given twice`, ...miscounts(hits, 'hits')], figure)]
}

/** Promise 3: no update of a session is lost, and a session that has ended does not come back. */
export function judgeSession({ session }: Observations): Finding[] {
  if (typeof session === 'string') return [skipped(session)]
  const { answered, failed, counted, signOut } = session
  const figure = `${answered} concurrent updates of one session answered, ${failed} failed, ${counted} kept`
  return [
    unless(miscounts(session, 'updates of the session'), figure),
    signOut === undefined
      ? skipped('sign-out: no route of the requests signs out')
      : unless(
          [signOut.after > signOut.before && `the session came back after its sign-out, with ${signOut.after} updates`],
          'it did not come back after its sign-out'
        )
  ]
}

function miscounts({ answered, failed, counted }: NumbersSeen, what: string): (string | false)[] {
  const lost = answered - counted
  const surplus = counted - answered - failed
  return [
    lost > 0 && `${lost} of ${answered} ${what} are lost`,
    surplus > 0 && `${surplus} ${what} more were counted than the drill asked for: counted twice, or another client`
  ]
}
