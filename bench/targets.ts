import { rowTitles } from './load/load.ts'
import { fixed, median, paired, spread, table, valuesOf } from './report.ts'
import type { Sample } from './scenario.ts'
import { BOOT, COMMANDS, MANY, MEMORY, RELOAD } from './scenarios/compare-alone.ts'

/** A value of the comparison: the median of its samples, absolute or as a ratio to another server in the same round. */
interface Target {
  readonly what: string
  readonly from: readonly [table: string, value: string, subject: string]
  readonly base?: string
  readonly digits: number
  readonly unit: string
  /** What the value should be at most, or at least. Values without either are there to compare with. */
  readonly max?: number
  readonly min?: number
}

type Limit = Pick<Target, 'max' | 'min'>
type Row = (what: string, from: Target['from'], limit?: Limit) => Target

const { hit, session, connect } = rowTitles
/** Node 20 has its own targets, where asynchronous code costs more. */
const isNode20 = process.versions.node.startsWith('20.')
const value =
  (digits: number, unit = ''): Row =>
  (what, from, limit) => ({ what, from, digits, unit, ...limit })
const times =
  (base: string): Row =>
  (what, from, limit) => ({ what, from, base, digits: 2, unit: ' ×', ...limit })
const [xBare, xByTheBook] = [times('bare'), times('by-the-book')]
const [ms, mib, kib, seconds] = [value(0, ' ms'), value(0, ' MiB'), value(1, ' KiB'), value(1, ' s')]

const TARGETS: readonly Target[] = [
  xBare('`POST /hits`: CPU, × bare', [hit, 'cpu', 'muster'], { max: isNode20 ? 1.35 : 1.12 }),
  xBare('`POST /hits`: requests/s, × bare', [hit, 'perSecond', 'muster'], { min: isNode20 ? 0.8 : 1 }),
  xByTheBook('page with a session: CPU, × by-the-book', [session, 'cpu', 'muster'], { max: 0.4 }),
  xByTheBook('page with a session: p99, × by-the-book', [session, 'p99Ms', 'muster'], { max: 0.5 }),
  xBare('memory (PSS) of primary and workers, × bare', [MEMORY, 'pssMiB', 'muster'], { max: 1.2 }),
  mib('memory of each further worker, after load', [MANY, 'furtherMiB', 'muster'], { max: 45 }),
  mib('the same, bare', [MANY, 'furtherMiB', 'bare']),
  kib('memory that an idle connection adds', [MEMORY, 'idleKiB', 'muster'], { max: 12 }),
  kib('the same, bare', [MEMORY, 'idleKiB', 'bare']),
  ms('fork to ready', [BOOT, 'coldMs', 'muster']),
  ms('fork to ready, with a compile cache', [BOOT, 'warmMs', 'muster'], { max: 180 }),
  ms('Node until it has loaded the packages of a worker', [BOOT, 'packagesMs', 'muster']),
  xBare(
    'connection per request, `rr`: requests/s, × bare, which uses round robin too',
    [connect, 'perSecond', 'muster'],
    { min: 1.2 }
  ),
  xBare('the same with `SCHEDULING=shared`', [connect, 'perSecond', 'muster-shared'], { min: 1.2 }),
  xBare('bare on a shared socket', [connect, 'perSecond', 'bare-shared']),
  seconds('reload of all workers under mixed load', [RELOAD, 'seconds', 'muster'], { max: 2.5 }),
  xBare('four times the workers: requests/s, × bare with as many', [MANY, 'perSecond', 'muster'], { min: 0.7 }),
  value(1)('Redis commands per 1,000 hits', [COMMANDS, 'hit', 'muster'], { max: 40 }),
  value(1)('Redis commands per 1,000 pages with a session', [COMMANDS, 'session', 'muster'], { max: 60 }),
  value(0)('the same, inside scripts', [COMMANDS, 'session in scripts', 'muster'], { max: 2000 })
]

/** The values that performance is judged by, beside their targets. Values that were not measured are left out. */
export function targetTable(samples: readonly Sample[]): string {
  const lines = TARGETS.flatMap(({ what, from: [name, value, subject], base, digits, unit, max, min }) => {
    const absolute = valuesOf(samples, name, subject, value)
    const values = base ? paired(absolute, valuesOf(samples, name, base, value)) : absolute
    if (!values.some(Number.isFinite)) return []
    const [sign, limit] = max !== undefined ? ['≤', max] : ['≥', min]
    const target = limit === undefined ? '–' : `${sign} ${fixed(limit, Number.isInteger(limit) ? 0 : 2)}${unit}`
    const middle = median(values)
    const isReached = middle <= (max ?? middle) && middle >= (min ?? middle)
    return [[what, `${spread(values, digits)}${unit}`, target, limit === undefined ? '–' : isReached ? 'yes' : 'no']]
  })
  return `### Targets\n\n${table(['what', 'measured', 'target', 'reached'], lines, ['reached'])}`
}
