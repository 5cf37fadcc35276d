// Usage: npm run simulate -- cluster [--seed N] [--seeds N] [--hours N] [--trace]
//        npm run simulate -- planted [part of a name]
import { parseArgs } from 'node:util'
import { findPlanted } from './planted/find-planted.ts'
import { PLANTED_BUGS } from './planted/planted-bugs.ts'
import { runPlanSoon } from './run-plan.ts'
import { type Failure, HOURS, runSeeds } from './run-seeds.ts'
import { shrinkPlan } from './shrink-plan.ts'
import type { SimPlan } from './sim-plan.ts'

/** Lines of the trace that are printed without --trace. */
const LINES = 60

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    hours: { type: 'string', default: String(HOURS) },
    plan: { type: 'string' },
    trace: { type: 'boolean', default: false }
  }
})
const [command = 'cluster', name = ''] = positionals
if (command === 'cluster') await simulateCluster()
else if (command === 'planted') await findAllPlanted()
else {
  console.error(`unknown simulation "${command}": say cluster or planted`)
  process.exitCode = 2
}

async function simulateCluster(): Promise<void> {
  const startedAt = performance.now()
  if (values.plan) return report(JSON.parse(values.plan) as SimPlan)
  const { totals, failure } = await runSeeds(Number(values.seed), Number(values.seeds), { hours: Number(values.hours) })
  const { seeds, hours, steps, faults, requests, connections } = totals
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(
    `${seeds} seeds, ${hours.toFixed(1)} simulated hours in ${seconds} s: ${steps} events, ${faults} faults and commands, ` +
      `${connections} connections, ${requests} requests`
  )
  if (failure) await reportFailure(failure)
  else console.log('no violation')
}

async function reportFailure({ plan, result }: Failure): Promise<void> {
  const { what, step, at } = result.violation!
  console.log(`seed ${plan.seed}, step ${step}, after ${(at / 1000).toFixed(3)} s: ${what}`)
  process.exitCode = 1
  const smallest = await shrinkPlan(plan, result.violation!)
  await report(smallest)
}

/** Prints a plan and what happens in it. */
async function report(plan: SimPlan): Promise<void> {
  const { violation, trace } = await runPlanSoon(plan, true)
  for (const line of values.trace ? trace : trace.slice(-LINES)) console.log(line)
  console.log(`plan: ${JSON.stringify(plan)}`)
  console.log(violation ? `step ${violation.step}: ${violation.what}` : 'no violation')
  process.exitCode = violation ? 1 : 0
}

async function findAllPlanted(): Promise<void> {
  let missed = 0
  for (const bug of PLANTED_BUGS.filter((one) => one.name.includes(name))) {
    const { found, seeds, seconds } = await findPlanted(bug)
    if (!found) missed++
    console.log(`${found ? 'found' : 'MISSED'}  ${bug.name}, ${seeds} seeds in ${seconds.toFixed(1)} s: ${found ?? ''}`)
  }
  process.exitCode = missed > 0 ? 1 : 0
}
