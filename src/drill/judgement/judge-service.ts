import type { Observations, RedisSeen } from '../observations.ts'
import { type Finding, ofStep, skipped, unless } from './verdict.ts'

/** The service resumes within this time after Redis is back, in ms. */
const RESUME_MS = 3000

/** Promise 6: over all steps. */
export function judgeMetrics({ metrics }: Observations): Finding[] {
  if (typeof metrics === 'string') return [skipped(metrics)]
  const { scrapes, late, limitMs, slowestMs, decreased } = metrics
  const [first] = decreased
  return [
    unless(
      [
        late > 0 && `${late} of ${scrapes} scrapes were not answered in ${limitMs} ms`,
        first !== undefined && `${decreased.length} counters decreased, such as ${first}`
      ],
      `${scrapes} scrapes, the slowest took ${Math.round(slowestMs)} ms; no counter decreased`
    )
  ]
}

/** Promise 7: liveness, clear and timely answers while Redis is away, and the return to service. */
export const judgeRedis = (seen: Observations): Finding[] =>
  (['redis-cut', 'redis-stop', 'redis-kill'] as const).flatMap((fault) =>
    ofStep(seen, fault, ({ redis }) => (redis ? judgeOutage(redis, fault) : []))
  )

function judgeOutage(redis: RedisSeen, fault: string): Finding {
  const { limitMs, answers, slow, slowestMs, unclear, liveness, livenessFailed, resumedMs, unaffected } = redis
  const resumed = resumedMs === undefined ? 'not in 30 s' : `after ${Math.round(resumedMs)} ms`
  return unless(
    [
      livenessFailed > 0 && `${fault}: ${livenessFailed} of ${liveness} questions to /livez failed`,
      slow > 0 &&
        `${fault}: ${slow} of ${answers} responses took longer than ${limitMs} ms, up to ${Math.round(slowestMs)} ms`,
      unclear > 0 && `${fault}: ${unclear} responses were errors, but no clear 503`,
      (resumedMs === undefined || resumedMs > RESUME_MS) && `${fault}: service resumed ${resumed}`
    ],
    `${fault}: ${answers} responses, the slowest took ${Math.round(slowestMs)} ms; ` +
      (unaffected ? 'no request was refused' : `service resumed ${resumed}`)
  )
}
