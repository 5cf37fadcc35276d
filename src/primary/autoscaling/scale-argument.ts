import { CommandError } from '../../admin/command-error.ts'
import { isRangeText, parseRange, type WorkerRange } from '../../common/worker-range.ts'

export interface ScaleLimits {
  /** The range of the configuration. */
  configured: WorkerRange | undefined
  maxWorkers: number
}

/**
 * Reads what `scale` is asked for. A number, or a change of the present one, is fixed; with a range the load decides.
 * @param change a number, `+1`, `-1`, `2..8`, or `auto`
 * @returns the number of workers to want now, and the range to keep it in
 * @throws CommandError 400 that tells what is possible
 */
export function readScale(
  change: number | string,
  desired: number,
  { configured, maxWorkers }: ScaleLimits
): { workers: number; range?: WorkerRange } {
  const range = readRange(change, configured, maxWorkers)
  if (range) {
    if (range.max > maxWorkers) throw new CommandError(`workers: must not exceed MAX_WORKERS, which is ${maxWorkers}`)
    return { workers: Math.max(range.min, Math.min(range.max, desired)), range }
  }
  const workers = typeof change === 'string' ? desired + Number(change) : change
  if (workers >= 1 && workers <= maxWorkers) return { workers }
  throw new CommandError(
    `workers: must be a number from 1 to ${maxWorkers}, or a change such as +1 or -1, not ${workers}`
  )
}

function readRange(change: number | string, configured: WorkerRange | undefined, maxWorkers: number) {
  if (change === 'auto') {
    if (configured) return configured
    throw new CommandError('workers: WORKERS is not a range, so auto has no limits: give a range such as 2..8')
  }
  if (typeof change !== 'string' || !isRangeText(change)) return undefined
  const range = parseRange(change, maxWorkers)
  if (typeof range === 'string') throw new CommandError(`workers: "${change}": ${range}`)
  return range
}
