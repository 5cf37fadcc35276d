import { type RunResult, runPlanSoon } from './run-plan.ts'
import { planOf, type SimPlan } from './sim-plan.ts'

/** The simulated hours of one seed. */
export const HOURS = 6

/** What many runs have done together. */
export interface Totals {
  seeds: number
  hours: number
  steps: number
  faults: number
  requests: number
  connections: number
}

export interface Failure {
  plan: SimPlan
  result: RunResult
}

/**
 * Runs seeds one after the other until one fails.
 * @param options.surge replaces what the seed says
 * @param options.isOver ends the search before `count`
 */
export async function runSeeds(
  first: number,
  count: number,
  { hours = HOURS, surge, isOver = () => false }: { hours?: number; surge?: number; isOver?: () => boolean } = {}
): Promise<{ totals: Totals; failure: Failure | undefined }> {
  const totals: Totals = { seeds: 0, hours: 0, steps: 0, faults: 0, requests: 0, connections: 0 }
  for (let seed = first; seed < first + count && !isOver(); seed++) {
    const plan = { ...planOf(seed, hours), ...(surge !== undefined && { surge }) }
    const result = await runPlanSoon(plan)
    totals.seeds++
    totals.hours += result.simulatedMs / 3_600_000
    for (const name of ['steps', 'faults', 'requests', 'connections'] as const) totals[name] += result[name]
    if (result.violation) return { totals, failure: { plan, result } }
  }
  return { totals, failure: undefined }
}

/** What docs/testing.md counts of simulated runs. */
export const countsOf = ({ hours, faults, requests }: Totals) => ({
  'simulated hours': Math.round(hours),
  'simulated faults and commands': faults,
  'simulated requests': requests
})
