import type { Family } from '../../ipc/series.ts'
import type { Autoscaler } from '../autoscaling/autoscaler.ts'
import { by, counts, family } from './primary-metrics.ts'

const LIMITS = ['range', 'cpu', 'memory'] as const

/**
 * The series of autoscaling and rebalancing.
 * @param desired the number of workers that is wanted
 * @param rebalanced the number of connections that have moved to a less busy worker
 */
export function scalingFamilies(
  { range, load, decisions, limit }: Pick<Autoscaler, 'range' | 'load' | 'decisions' | 'limit'>,
  desired: number,
  rebalanced = 0
): Family[] {
  const { min, max } = range ?? { min: desired, max: desired }
  return [
    family('gauge', 'cluster_load', 'Sum of the event-loop utilisation of all workers: 1 is one busy event loop.', [
      [load]
    ]),
    family('gauge', 'cluster_workers_range', 'Fewest and most workers that the load may choose.', [
      [min, { bound: 'min' }],
      [max, { bound: 'max' }]
    ]),
    family(
      'counter',
      'cluster_scaling_decisions_total',
      'How often the load changed the number of workers, by direction.',
      counts('direction', decisions)
    ),
    family(
      'gauge',
      'cluster_scaling_limited',
      'What prevents more workers although the load asks for them: 1 for the range, the CPU quota or the memory.',
      by('limit', LIMITS, (each) => (each === limit ? 1 : 0))
    ),
    family(
      'counter',
      'cluster_rebalanced_connections_total',
      'Connections that moved from a busy worker to a less busy one.',
      [[rebalanced]]
    )
  ]
}
