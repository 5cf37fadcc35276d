import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { counted } from '../helpers/counted.ts'
import { runPlanSoon } from './run-plan.ts'
import { countsOf, HOURS, runSeeds } from './run-seeds.ts'
import { planOf } from './sim-plan.ts'
import '../helpers/takes-long.ts'

const WEEK_HOURS = 7 * 24

test('in a simulated week of faults and commands under traffic, no promise is broken', async (t) => {
  const { totals, failure } = await runSeeds(1, WEEK_HOURS / HOURS)
  counted(t, countsOf(totals))
  assert.equal(
    failure?.result.violation,
    undefined,
    `npm run simulate -- cluster --seed ${failure?.plan.seed} says how`
  )
  assert.ok(totals.hours >= WEEK_HOURS, `${totals.hours} simulated hours`)
  assert.ok(totals.faults > 500, `${totals.faults} faults and commands`)
  assert.ok(totals.requests > 10_000, `${totals.requests} requests`)
})

test('a seed replays exactly: the same events at the same times', async () => {
  const first = await runPlanSoon(planOf(7, 2))
  const second = await runPlanSoon(planOf(7, 2), true)
  assert.ok(first.steps > 10_000, `${first.steps} events`)
  assert.deepEqual([second.steps, second.fingerprint], [first.steps, first.fingerprint])
  assert.notEqual((await runPlanSoon(planOf(8, 2))).fingerprint, first.fingerprint)
})

test('the command runs a seed and says what it has simulated', async () => {
  const main = fileURLToPath(new URL('simulate.js', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'cluster', '--seed', '7', '--hours', '1'])
  assert.match(stdout, /\d+ faults/)
  assert.match(stdout, /no violation/)
})
