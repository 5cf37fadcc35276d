import type { Sample, Settings } from './scenario.ts'

/** A Markdown table: the first column and those named in `texts` are aligned left, numbers right. */
export function table(
  head: readonly string[],
  lines: readonly (readonly string[])[],
  texts: readonly string[] = []
): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = head.map((name, column) => (column === 0 || texts.includes(name) ? '---' : '---:'))
  return [row(head), row(rule), ...lines.map(row)].join('\n')
}

/** A number with this many digits after the point, or a dash when it could not be measured. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–'
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** The middle value, or the mean of the two in the middle; values that are not numbers are ignored. */
export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (lower + upper) / 2
}

/** Each value divided by the base's value of the same round. Rounds that lack a value are left out. */
export function paired(values: readonly number[], base: readonly number[]): number[] {
  return values.map((value, round) => value / (base[round] ?? Number.NaN)).filter(Number.isFinite)
}

/** `median (lowest–highest)`, the median alone where all values print the same, or a dash for no value. */
export function spread(values: readonly number[], digits: number): string {
  const all = values.filter(Number.isFinite)
  if (all.length === 0) return '–'
  const [lowest, highest] = [fixed(Math.min(...all), digits), fixed(Math.max(...all), digits)]
  const middle = fixed(median(all), digits)
  return lowest === highest ? middle : `${middle} (${lowest}–${highest})`
}

/** The values of one subject of a table, one per round. */
export function valuesOf(samples: readonly Sample[], table: string, subject: string, value: string): number[] {
  const own = samples.filter((sample) => sample.table === table && sample.subject === subject)
  return own.map((sample) => sample.values[value] ?? Number.NaN)
}

/** A column of a report: a value of the samples, and optionally a second column with its ratio to the base. */
export interface Column {
  readonly head: string
  readonly value: string
  readonly digits: number
  /** The subject that the values are divided by, round by round. */
  readonly base?: string
}

/** The columns of a table about requests. */
export const rateColumns = (base?: string): Column[] => [
  { head: 'req/s', value: 'perSecond', digits: 0, ...(base && { base }) },
  { head: 'p50 ms', value: 'p50Ms', digits: 2 },
  { head: 'p99 ms', value: 'p99Ms', digits: 2 },
  { head: 'CPU µs/req', value: 'cpu', digits: 1, ...(base && { base }) }
]

/** The samples of one table as Markdown, a line for each subject in order of appearance, errors in the last column. */
export function sampleTable(
  samples: readonly Sample[],
  name: string,
  columns: readonly Column[],
  first = 'server'
): string {
  const subjects = [...new Set(samples.filter((sample) => sample.table === name).map(({ subject }) => subject))]
  const heads = columns.flatMap(({ head, base }) => (base ? [head, `× ${base}`] : [head]))
  const lines = subjects.map((subject) => {
    const cells = columns.flatMap(({ value, digits, base }) => {
      const own = valuesOf(samples, name, subject, value)
      if (!base) return [spread(own, digits)]
      return [fixed(median(own), digits), spread(paired(own, valuesOf(samples, name, base, value)), 2)]
    })
    return [subject, ...cells, errorsOf(samples.filter((one) => one.table === name && one.subject === subject))]
  })
  return table([first, ...heads, 'errors'], lines)
}

/** A list of the servers that are compared. */
export const legend = (servers: Readonly<Record<string, { readonly about: string }>>): string =>
  Object.entries(servers)
    .map(([name, { about }]) => `- ${name}: ${about}`)
    .join('\n')

/** How a table was measured, in one sentence. */
export const howMeasured = ({ rounds, seconds, connections, workers }: Settings): string =>
  `${workers} workers, ${connections} connections, medians of ${rounds} interleaved rounds of ${seconds} s ` +
  '(lowest–highest). Ratios compare values of the same round. CPU is that of all processes of the server, without Redis.'

function errorsOf(samples: readonly Sample[]): string {
  const kinds = new Map<string, number>()
  for (const { failures = {} } of samples) {
    for (const [kind, times] of Object.entries(failures)) kinds.set(kind, (kinds.get(kind) ?? 0) + times)
  }
  const total = [...kinds.values()].reduce((sum, times) => sum + times, 0)
  return total === 0 ? '0' : `**${total}** (${[...kinds].map(([kind, times]) => `${kind}: ${times}`).join(', ')})`
}
