import type { JournalFiles } from '../../command-context.ts'
import { CommandError } from '../../command-error.ts'
import type { JournalEntry } from '../../journal-file.ts'

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** The number of entries without `limit`, and the largest number with `since`. */
const DEFAULT_LIMIT = 50
const MAX_LIMIT = 10_000

interface Selection {
  slot?: number
  limit?: number
  since?: string
}

/** Makes the handler of a command that shows the latest entries of a file. @throws CommandError for a time that does not exist */
export const readLatest =
  (file: keyof JournalFiles) =>
  (
    files: JournalFiles,
    { slot, since, limit = since === undefined ? DEFAULT_LIMIT : MAX_LIMIT }: Selection
  ): JournalEntry[] =>
    files[file].read({
      limit,
      ...(slot !== undefined && { slot }),
      ...(since !== undefined && { since: oldestOf(since) })
    })

/**
 * Returns the moment that `since` names. A time without a zone is local.
 * @param since fits the schema of that name
 * @throws CommandError for a time that does not exist, such as 2026-13-01
 */
export function oldestOf(since: string, now = Date.now()): Date {
  const [, digits, unit] = /^(\d+)([smhd])$/.exec(since) ?? []
  if (digits) return new Date(now - Number(digits) * UNITS_MS[unit as keyof typeof UNITS_MS])
  // Without a time of day, JavaScript takes a date for one of UTC.
  const moment = new Date(since.includes('T') ? since : `${since}T00:00`)
  if (Number.isNaN(moment.getTime())) throw new CommandError(`since: there is no time ${since}`)
  return moment
}
