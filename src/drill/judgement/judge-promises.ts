import type { Observations } from '../observations.ts'
import { judgeHits, judgeSession } from './judge-numbers.ts'
import { judgeBadRelease, judgeReload } from './judge-reloads.ts'
import { judgeMetrics, judgeRedis } from './judge-service.ts'
import { judgeWorkers } from './judge-workers.ts'
import { combine, type Finding, type Judged, skipped } from './verdict.ts'

const judgePrimary = () => [skipped('a drill leaves the service running, so it never ends the primary')]

/** The promises of the README, in its order, with its words. A test compares both. */
const PROMISES: [title: string, judge: (seen: Observations) => Finding[]][] = [
  ['A reload loses nothing.', judgeReload],
  ['Every hit that was answered with 200 is counted exactly once', judgeHits],
  ['Concurrent requests of one session lose no update', judgeSession],
  ['A bad release never replaces a good one.', judgeBadRelease],
  ['A worker that crashes, hangs or outgrows its memory is found and replaced', judgeWorkers],
  ['/metrics is never late or wrong because of one worker', judgeMetrics],
  ['Redis down:', judgeRedis],
  ['The primary dies:', judgePrimary]
]

/** Judges every promise of the README by what a drill has seen. Pure. */
export const judge = (seen: Observations): Judged[] =>
  PROMISES.map(([title, find], i) => combine(i + 1, title, find(seen)))

/** Whether a promise is broken, or the service is not as it was. */
export const hasFailed = (seen: Observations, judged: readonly Judged[]): boolean =>
  seen.differences.length > 0 || judged.some(({ verdict }) => verdict === 'broken')
