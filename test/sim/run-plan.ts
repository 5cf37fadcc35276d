import { SimCluster, type Violation } from './sim-cluster.ts'
import { applyIncident } from './sim-incidents.ts'
import { checkAlways, checkEnd, SETTLE_MS, unsettled } from './sim-invariants.ts'
import type { SimPlan } from './sim-plan.ts'

export interface RunResult {
  violation: Violation | undefined
  /** The same for two runs of one plan. */
  fingerprint: number
  steps: number
  simulatedMs: number
  requests: number
  faults: number
  connections: number
  trace: string[]
}

const HOUR_MS = 3_600_000
const RECHECK_MS = 7000
/** After the end of the service, for its last worker and client. */
const END_MS = 10 * 60_000

/**
 * Runs a plan to its end, or to the first violation. Synchronous; to be called from a callback of Node's own, and not after an `await`,
 * which would keep the promises of the simulated code from being run.
 * @param keepsTrace keeps the last lines of what happened
 */
export function runPlan(plan: SimPlan, keepsTrace = false): RunResult {
  const cluster = new SimCluster(plan, keepsTrace)
  const { time, disk, clients, network } = cluster
  const isOver = () => {
    checkAlways(cluster)
    return cluster.violation !== undefined
  }
  try {
    cluster.start(applyIncident)
    for (const calm of calmTimes(plan)) {
      time.run(calm, isOver)
      if (cluster.violation) break
      settle(cluster, isOver)
    }
    if (!cluster.violation) end(cluster, isOver)
  } finally {
    for (const { process } of cluster.host.workers.values()) process.exit({ code: null, signal: 'SIGKILL' })
    time.run(time.now, () => false)
    disk.remove()
  }
  return {
    violation: cluster.violation,
    fingerprint: time.fingerprint,
    steps: time.steps,
    simulatedMs: time.now,
    requests: clients.requests,
    faults: plan.incidents.length,
    connections: network.accepted,
    trace: cluster.trace
  }
}

/** Runs a plan in a turn of the event loop of its own. */
export const runPlanSoon = (plan: SimPlan, keepsTrace = false): Promise<RunResult> =>
  new Promise((resolve, reject) =>
    setImmediate(() => {
      try {
        resolve(runPlan(plan, keepsTrace))
      } catch (error) {
        reject(error)
      }
    })
  )

/** The moments at which nothing has happened from outside for a while. */
function calmTimes({ incidents, hours }: SimPlan): number[] {
  const calm: number[] = []
  incidents.forEach(({ at }, i) => {
    const next = incidents[i + 1]?.at ?? hours * HOUR_MS
    if (next - at > SETTLE_MS) calm.push(at + SETTLE_MS)
  })
  return calm
}

/** A client may come at any moment, so that a connection is just on its way: the service gets three chances. */
function settle(cluster: SimCluster, isOver: () => boolean): void {
  let problem = unsettled(cluster)
  for (let i = 0; i < 3 && problem !== undefined && !cluster.violation; i++) {
    cluster.time.run(cluster.time.now + RECHECK_MS, isOver)
    problem = unsettled(cluster)
  }
  if (problem !== undefined) cluster.fail(problem)
}

function end(cluster: SimCluster, isOver: () => boolean): void {
  const { time, plan, primaryProcess, world } = cluster
  const at = plan.hours * HOUR_MS
  time.plan(world, at - time.now, () => {
    cluster.note(`END ${plan.end}`)
    cluster.isStopping = true
    if (plan.end === 'primary dies') primaryProcess.exit({ code: null, signal: 'SIGKILL' })
    else time.plan(primaryProcess, 0, () => void cluster.primary.stop())
  })
  time.run(at + END_MS, isOver)
  if (!cluster.violation) checkEnd(cluster)
}
