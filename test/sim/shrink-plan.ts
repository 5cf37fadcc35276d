import type { Visit } from './clients/sim-client.ts'
import { runPlanSoon } from './run-plan.ts'
import type { Violation } from './sim-cluster.ts'
import type { Incident, SimPlan } from './sim-plan.ts'

/** What happens before the first incident of a smaller plan, in ms. */
const LEAD_MS = 60_000
/** Most violations need only what came in this time before them, in ms. */
const RECENT_MS = 15 * 60_000
const HOUR_MS = 3_600_000

/**
 * Finds a smaller plan that fails in the same way: without what comes after the violation, and without every incident and visit that it
 * does not need.
 * @param maxRuns of the simulation
 */
export async function shrinkPlan(plan: SimPlan, violation: Violation, maxRuns = 80): Promise<SimPlan> {
  let best = plan
  let runs = 0
  const kind = kindOf(violation)
  const stillFails = async (smaller: SimPlan): Promise<boolean> => {
    if (runs >= maxRuns) return false
    runs++
    const found = (await runPlanSoon(smaller)).violation
    if (!found || kindOf(found) !== kind) return false
    best = smaller
    return true
  }
  const recent = earlier(since(until(best, violation.at), violation.at - RECENT_MS))
  if (!(await stillFails(recent))) await stillFails(until(best, violation.at))
  for (let size = Math.ceil(countOf(best) / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < countOf(best); ) {
      if (!(await stillFails(without(best, from, size)))) from += size
    }
  }
  await stillFails(earlier(best))
  return best
}

/** Two violations are of one kind if their texts differ only in numbers. */
const kindOf = ({ what }: Violation) => what.replace(/\d+/g, 'N')

const countOf = ({ incidents, visits }: SimPlan) => incidents.length + visits.length

/** Leaves out what comes after a time. A service that has to settle gets the time for it. */
function until(plan: SimPlan, ms: number): SimPlan {
  const isBefore = ({ at }: { at: number }) => at <= ms
  const hours = Math.min(plan.hours, (ms + LEAD_MS) / HOUR_MS)
  return { ...plan, hours, incidents: plan.incidents.filter(isBefore), visits: plan.visits.filter(isBefore) }
}

/** Leaves out what comes before a time. */
function since(plan: SimPlan, ms: number): SimPlan {
  const isAfter = ({ at }: { at: number }) => at >= ms
  return { ...plan, incidents: plan.incidents.filter(isAfter), visits: plan.visits.filter(isAfter) }
}

function without(plan: SimPlan, from: number, size: number): SimPlan {
  const { length } = plan.incidents
  const isKept = (i: number) => i < from || i >= from + size
  return {
    ...plan,
    incidents: plan.incidents.filter((_, i) => isKept(i)),
    visits: plan.visits.filter((_, i) => isKept(length + i))
  }
}

/** Lets the plan begin soon after the start. */
function earlier(plan: SimPlan): SimPlan {
  const first = Math.min(...[...plan.incidents, ...plan.visits].map(({ at }) => at))
  const by = Math.max(0, first - LEAD_MS)
  if (!Number.isFinite(by)) return plan
  return {
    ...plan,
    hours: plan.hours - by / HOUR_MS,
    incidents: plan.incidents.map((one): Incident => ({ ...one, at: one.at - by })),
    visits: plan.visits.map((one): Visit => ({ ...one, at: one.at - by }))
  }
}
