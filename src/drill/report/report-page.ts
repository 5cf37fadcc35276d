import { formatCount, formatDuration } from '../../common/text/units.ts'
import { describeFailures } from '../judgement/judge-reloads.ts'
import type { Judged } from '../judgement/verdict.ts'
import { FAULT_TEXTS, failuresOf, type Observations, type Step } from '../observations.ts'

/** A report, without a format. */
export interface Page {
  title: string
  intro: string
  sections: Section[]
}

export interface Section {
  heading: string
  table?: { head: string[]; rows: string[][] }
  items?: string[]
}

/** Lays the report out. */
export function reportPage(seen: Observations, judged: readonly Judged[]): Page {
  const { version, url, workers, scheduling, redis } = seen.service
  const tried = seen.steps.filter(({ skipped }) => skipped === undefined)
  const requests = tried.reduce((sum, { load }) => sum + load.answered + failuresOf(load), 0)
  const words = { embedded: 'the embedded Redis', external: 'a Redis of its own', off: 'no Redis' }
  return {
    title: `Drill of ${url}`,
    intro:
      `muster ${version}, ${workers} workers, SCHEDULING=${scheduling}, ${words[redis]}. ` +
      `${tried.length - 1} faults, ${formatCount(requests)} requests.`,
    sections: [
      { heading: 'Promises', table: { head: ['promise', 'verdict', 'figure'], rows: judged.map(promiseRow) } },
      {
        heading: 'Faults',
        table: {
          head: ['fault', 'took', 'answered', 'failed', 'connections closed', 'late', 'slowest'],
          rows: tried.map(stepRow)
        }
      },
      ...list('Not tried', [...new Set(judged.flatMap(notTried))]),
      { heading: 'Afterwards', items: seen.differences.length > 0 ? seen.differences : ['the service is as it was'] }
    ]
  }
}

const promiseRow = ({ promise, title, verdict, text }: Judged) => [
  `${promise}. ${title.replace(/[.:]$/, '')}`,
  verdict,
  text
]

const stepRow = ({ fault, ms, load }: Step) => [
  `${fault}: ${FAULT_TEXTS[fault]}`,
  formatDuration(ms),
  formatCount(load.answered),
  describeFailures(load) || '0',
  String(load.closed),
  String(load.late),
  formatDuration(load.slowestMs)
]

const notTried = ({ promise, findings }: Judged) =>
  findings.filter(({ verdict }) => verdict === 'skipped').map(({ text }) => `promise ${promise}: ${text}`)

const list = (heading: string, items: string[]): Section[] => (items.length > 0 ? [{ heading, items }] : [])
