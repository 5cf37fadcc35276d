import type { JournalEntry } from '../../admin/journal-file.ts'
import { printable } from '../../common/text/printable.ts'
import { formatTime } from '../../common/text/units.ts'
import { type Column, paint, type Screen, table } from './table.ts'

/** Events that are failures, whatever their cause. */
const FAILURES = new Set(['killed', 'hangs', 'cannot boot', 'reload failed', 'release missing'])

const COLUMNS: Column<JournalEntry>[] = [
  { title: 'time', show: timeOf, isQuantity: true },
  { title: 'event', show: ({ event }) => event, colour: colourOf },
  { title: 'slot', show: ({ slot }) => slot?.toString() },
  { title: 'pid', show: ({ pid }) => pid?.toString() },
  { title: 'gen', show: ({ generation }) => generation?.toString() },
  { title: 'why', show: whyOf, colour: colourOf }
]

/** Formats entries of the journal or the audit log as a table. */
export const formatJournal = (entries: JournalEntry[], screen: Screen): string =>
  entries.length === 0 ? 'nothing is recorded\n' : table(entries, COLUMNS, screen)

/** Formats one entry as a line. */
export function formatEntry(entry: JournalEntry, screen: Screen): string {
  const { event, slot, pid, generation } = entry
  const parts = [
    event,
    ...(slot === undefined ? [] : [`slot ${slot}`]),
    ...(pid === undefined ? [] : [`pid ${pid}`]),
    ...(generation === undefined ? [] : [`generation ${generation}`]),
    whyOf(entry)
  ]
  const text = printable(parts.filter(Boolean).join('  '))
  return `${printable(timeOf(entry))}  ${paint(screen, colourOf(entry), text)}\n`
}

function timeOf({ at }: JournalEntry): string {
  const moment = new Date(at)
  return Number.isNaN(moment.getTime()) ? at : formatTime(moment)
}

/** The text may come from any client: line breaks in it must not make new lines of the table. */
function whyOf({ why, command, who }: JournalEntry): string {
  const details = [command === undefined ? '' : `${command}, ${who}`, why ?? ''].filter(Boolean).join(': ')
  return details.replace(/[\s\p{Cc}]+/gu, ' ')
}

function colourOf({ event, why, ok, code }: JournalEntry): 'red' | undefined {
  const hasCrashed = event === 'exited' && why !== undefined && why !== 'exit code 0'
  const hasFailed = ok === false || (event === 'stop' && code !== undefined && code !== 0)
  return FAILURES.has(event) || hasCrashed || hasFailed ? 'red' : undefined
}
