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

const { hit, session, connect } = rowTitles
/** Node 20 has its own targets, where asynchronous code costs more. */
const isNode20 = process.versions.node.startsWith('20.')
const ratio = { digits: 2, unit: ' ×' }
const ms = { digits: 0, unit: ' ms' }
const mib = { digits: 0, unit: ' MiB' }
const commands = { digits: 1, unit: '' }

const TARGETS: readonly Target[] = [
  {
    what: '`POST /hits`: CPU, × bare',
    from: [hit, 'cpu', 'muster'],
    base: 'bare',
    ...ratio,
    max: isNode20 ? 1.35 : 1.12
  },
  {
    what: '`POST /hits`: requests/s, × bare',
    from: [hit, 'perSecond', 'muster'],
    base: 'bare',
    ...ratio,
    min: isNode20 ? 0.8 : 1
  },
  {
    what: 'page with a session: CPU, × by-the-book',
    from: [session, 'cpu', 'muster'],
    base: 'by-the-book',
    ...ratio,
    max: 0.4
  },
  {
    what: 'page with a session: p99, × by-the-book',
    from: [session, 'p99Ms', 'muster'],
    base: 'by-the-book',
    ...ratio,
    max: 0.5
  },
  {
    what: 'memory (PSS) of primary and workers, × bare',
    from: [MEMORY, 'pssMiB', 'muster'],
    base: 'bare',
    ...ratio,
    max: 1.2
  },
  { what: 'memory of each further worker, after load', from: [MANY, 'furtherMiB', 'muster'], ...mib, max: 45 },
  { what: 'the same, bare', from: [MANY, 'furtherMiB', 'bare'], ...mib },
  {
    what: 'memory that an idle connection adds',
    from: [MEMORY, 'idleKiB', 'muster'],
    digits: 1,
    unit: ' KiB',
    max: 12
  },
  { what: 'the same, bare', from: [MEMORY, 'idleKiB', 'bare'], digits: 1, unit: ' KiB' },
  { what: 'fork to ready', from: [BOOT, 'coldMs', 'muster'], ...ms },
  { what: 'fork to ready, with a compile cache', from: [BOOT, 'warmMs', 'muster'], ...ms, max: 180 },
  { what: 'Node until it has loaded the packages of a worker', from: [BOOT, 'packagesMs', 'muster'], ...ms },
  {
    what: 'connection per request, `rr`: requests/s, × bare, which uses round robin too',
    from: [connect, 'perSecond', 'muster'],
    base: 'bare',
    ...ratio,
    min: 1.2
  },
  {
    what: 'the same with `SCHEDULING=shared`',
    from: [connect, 'perSecond', 'muster-shared'],
    base: 'bare',
    ...ratio,
    min: 1.2
  },
  { what: 'bare on a shared socket', from: [connect, 'perSecond', 'bare-shared'], base: 'bare', ...ratio },
  {
    what: 'reload of all workers under mixed load',
    from: [RELOAD, 'seconds', 'muster'],
    digits: 1,
    unit: ' s',
    max: 2.5
  },
  {
    what: 'four times the workers: requests/s, × bare with as many',
    from: [MANY, 'perSecond', 'muster'],
    base: 'bare',
    ...ratio,
    min: 0.7
  },
  { what: 'Redis commands per 1,000 hits', from: [COMMANDS, 'hit', 'muster'], ...commands, max: 40 },
  {
    what: 'Redis commands per 1,000 pages with a session',
    from: [COMMANDS, 'session', 'muster'],
    ...commands,
    max: 60
  },
  { what: 'the same, inside scripts', from: [COMMANDS, 'session in scripts', 'muster'], digits: 0, unit: '', max: 2000 }
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
