import { formatDuration } from './units.ts'

type Fields = Record<string, unknown>

/** Steps of a reload, which its last line sums up. Why code does not start is printed apart, so that it stays in sight. */
const STEPS = new Set([
  'rollout started',
  'worker ready',
  'drained',
  'worker cannot boot',
  'rolling back',
  'release missing'
])

/**
 * Creates a function that turns the log lines of `muster dev` into those that its user wants to read: one line for each reload,
 * and no lines about its steps.
 * @returns undefined for a line that is not shown
 */
export function createDeveloperFilter(): (fields: Fields) => Fields | undefined {
  const failed = new Set<unknown>()
  let changed: unknown[] = []
  return (fields) => {
    const { msg, worker, why, durationMs } = fields
    if (msg === 'worker cannot boot') failed.add(worker)
    if (msg === 'code changed') changed = [...new Set([...changed, ...(fields.files as unknown[])])]
    if (msg === 'code changed' || STEPS.has(String(msg))) return undefined
    if (msg === 'worker exited' && (why === 'exit code 0' || failed.delete(worker))) return undefined
    if (msg !== 'rollout done' && msg !== 'rollout failed') return fields
    const files = changed.join(', ')
    changed = []
    const { level, time } = fields
    if (msg === 'rollout done') {
      return { level, time, msg: `reloaded in ${formatDuration(Number(durationMs))}`, ...(files && { why: files }) }
    }
    return { level, time, msg: files ? `not reloaded: ${files}` : 'not reloaded', why: String(why).split('\n', 1)[0] }
  }
}
