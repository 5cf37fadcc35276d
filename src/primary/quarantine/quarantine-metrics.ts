import type { Family } from '../../ipc/series.ts'
import { by, family } from '../metrics/primary-metrics.ts'
import type { QuarantineKeeper } from './quarantine-keeper.ts'

const STATES = ['quarantined', 'half-open', 'probing'] as const

/** The series of quarantined routes. Routes are no labels, because a command can name any text. */
export function quarantineFamilies(keeper: Pick<QuarantineKeeper, 'list' | 'total'>): Family[] {
  const routes = keeper.list()
  return [
    family(
      'gauge',
      'cluster_quarantined_routes',
      'Routes that are refused because they end workers, by state.',
      by('state', STATES, (state) => routes.filter((route) => route.state === state).length)
    ),
    family('counter', 'cluster_quarantines_total', 'How often a route was quarantined, or quarantined for longer.', [
      [keeper.total]
    ])
  ]
}
