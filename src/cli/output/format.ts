import type { ReloadOutcome, ServiceStatus } from '../../admin/command-context.ts'
import type { JournalEntry } from '../../admin/journal-file.ts'
import { printable } from '../../common/text/printable.ts'
import { describeCuts, describeLingering } from '../../ipc/drain-report.ts'
import { formatJournal } from './journal-table.ts'
import { formatStatus } from './status-table.ts'
import { type Column, card, labelOf, type Screen, table, valueText } from './table.ts'
import { formatTrial } from './trial-table.ts'

interface Row {
  [column: string]: unknown
}

/** A value as a line of JSON. JSON.stringify escapes most control characters, but not 0x7f to 0x9f. */
export const jsonLine = (value: unknown): string => `${printable(JSON.stringify(value))}\n`

/** Formats the result of a command as text. */
export function format(command: string, result: unknown, screen: Screen): string {
  if (command === 'why' || command === 'journal' || command === 'audit') {
    return formatJournal(result as JournalEntry[], screen)
  }
  if (command.startsWith('settings-') || command === 'log-level') {
    return formatValues((result as { values: Row }).values, 'setting', screen)
  }
  if (command === 'config') return formatValues(result as Row, 'variable', screen)
  if (command === 'reload' || command === 'rollback') return formatReload(result as ReloadOutcome, screen)
  if (command === 'status') return formatStatus(result as ServiceStatus, screen)
  if (result === null) return 'ok\n'
  if (typeof result !== 'object') return `${printable(String(result))}\n`
  if (!Array.isArray(result)) return card(result, screen)
  return result.length > 0 ? formatRows(result as Row[], screen) : 'none\n'
}

/** Formats the outcome of a reload, with a line for what was cut and one for workers that linger. */
function formatReload({ cuts = [], lingering = [], trial, ...outcome }: ReloadOutcome, screen: Screen): string {
  const lines = {
    ...(trial && { trial: `${trial.outcome}${trial.outcome === 'worse' ? '' : `: ${trial.why}`}` }),
    ...(cuts.length > 0 && { cut: describeCuts(cuts) }),
    ...(lingering.length > 0 && { lingering: describeLingering(lingering) })
  }
  const measures = trial ? formatTrial(trial, screen) : ''
  return `${card({ ...outcome, ...lines }, screen)}${measures && `\n${measures}`}`
}

/** Formats objects as a table of their fields. Rows may lack fields. */
function formatRows(rows: Row[], screen: Screen): string {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const columns = keys.map((key): Column<Row> => {
    const isQuantity = rows.every((row) => row[key] === undefined || typeof row[key] === 'number')
    return { title: labelOf(key), show: (row) => (key in row ? valueText(key, row[key]) : ''), isQuantity }
  })
  return table(rows, columns, screen)
}

/** Formats names and values. The values are shown as they are written in a file or a command, so without units. */
function formatValues(values: Row, title: string, screen: Screen): string {
  const exact = (value: unknown) => (value === '' || value === null ? valueText('', value) : asWritten(value))
  return table(
    Object.entries(values),
    [
      { title, show: ([key]) => key },
      { title: 'value', show: ([, value]) => exact(value) }
    ],
    screen
  )
}

const asWritten = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))
