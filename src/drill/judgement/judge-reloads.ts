import { failuresOf, type LoadCounts, type Observations, type Step } from '../observations.ts'
import { type Finding, ofStep, skipped, unless } from './verdict.ts'

/** Promise 1: no request fails, and no open connection is closed. */
export const judgeReload = (seen: Observations): Finding[] =>
  ofStep(seen, 'reload', ({ load, reload, ms }) => {
    const { outcome, why = '' } = reload ?? { outcome: 'missing' }
    const faults = losses(seen, load)
    if (faults.every((fault) => fault === false) && outcome !== 'done') {
      return skipped(`the reload ended as "${outcome}"${why && `: ${why}`}`)
    }
    return unless(faults, `${figureOf(seen, load)} in a reload of ${seconds(ms)} s`)
  })

/** Promise 4: a release that cannot boot costs nothing, and the old one serves on. */
export const judgeBadRelease = (seen: Observations): Finding[] => [
  ...ofStep(seen, 'bad-release', (step) => {
    const { outcome = 'missing', why = '', before = [], after = [] } = step.reload ?? {}
    if (outcome === 'refused') return skipped(`the reload was refused: ${why}`)
    return unless(
      [
        outcome !== 'failed' && `the reload ended as "${outcome}"`,
        outcome === 'failed' && why === '' && 'the reload did not say why it failed',
        isNewer(before, after) && `generation ${Math.max(...after)} serves instead of ${Math.max(...before)}`,
        ...losses(seen, step.load)
      ],
      `the reload failed (${why}), ${figureOf(seen, step.load)}`
    )
  }),
  skipped('a release that serves worse: the drill has none')
]

const isNewer = (before: number[], after: number[]) => Math.max(...after) > Math.max(...before)

function losses({ service }: Observations, load: LoadCounts): (string | false)[] {
  const failed = failuresOf(load)
  // TLS closes connections in order, and so does a limit of requests.
  const mayClose = service.isSecure || service.closesConnections
  return [
    failed > 0 && `${failed} of ${failed + load.answered} requests failed (${describeFailures(load)})`,
    load.closed > 0 && !mayClose && `${load.closed} open connections were closed`
  ]
}

const figureOf = ({ service }: Observations, load: LoadCounts): string =>
  `${failuresOf(load)} of ${load.answered} requests failed` +
  (service.isSecure || service.closesConnections ? '' : `, ${load.closed} connections closed`)

export const describeFailures = ({ failed }: Pick<Step['load'], 'failed'>): string =>
  Object.entries(failed)
    .map(([reason, count]) => `${reason}: ${count}`)
    .join(', ')

const seconds = (ms: number) => Math.round(ms / 100) / 10
