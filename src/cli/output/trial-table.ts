import { measureRows } from '../../verdict/describe-verdict.ts'
import type { SideReport, TrialReport } from '../../verdict/trial-report.ts'
import { type Column, type Screen, table } from './table.ts'

/** Describes a trial that goes on, in one line. */
export function trialLine(trial: TrialReport): string {
  const { state, seconds, maxSeconds, share, canary, control, others } = trial
  if (state === 'starting') return `trial: ${percent(share)} of new connections, as soon as the control is ready`
  const time = state === 'held' ? `held after ${Math.round(seconds)} s` : `${Math.round(seconds)} of ${maxSeconds} s`
  const sides = [`canary ${sideText(canary)}`, control && `control ${sideText(control)}`, `others ${sideText(others)}`]
  return `trial: ${time}, ${percent(share)} of new connections; ${sides.filter(Boolean).join('; ')}`
}

/** Formats what a trial compares: one row per measure, which narrows while the trial goes on. */
export function formatTrial(trial: TrialReport, screen: Screen): string {
  if (trial.state === 'none') return ''
  const rows = measureRows(trial)
  const columns = (['measure', 'canary', 'control', 'difference', 'verdict'] as const).map(
    (key): Column<(typeof rows)[number]> => ({ title: key, show: (row) => row[key] })
  )
  return table(rows, columns, screen)
}

const percent = (share: number) => `${Number((share * 100).toPrecision(3))} %`

const sideText = ({ requests, errors, connections }: SideReport) =>
  `${requests} requests on ${connections} connections, ${errors} errors`
