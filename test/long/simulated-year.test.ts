import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted } from '../helpers/counted.ts'
import { countsOf, HOURS, runSeeds } from '../sim/run-seeds.ts'

const SCALE = Number(process.env.LONG_SCALE ?? 1)
/** The short form is a quarter of its share: nine days. */
const YEARS = SCALE < 1 ? SCALE / 4 : SCALE
const YEAR_HOURS = 365 * 24
/** Other seeds than those of the simulated week. */
const FIRST_SEED = 1001
const SEEDS = Math.ceil((YEAR_HOURS * YEARS) / HOURS)

test(`in ${SEEDS * HOURS} simulated hours of faults and commands, no promise is broken`, async (t) => {
  const { totals, failure } = await runSeeds(FIRST_SEED, SEEDS)
  counted(t, countsOf(totals))
  assert.equal(
    failure?.result.violation,
    undefined,
    `npm run simulate -- cluster --seed ${failure?.plan.seed} says how`
  )
  assert.ok(totals.hours >= SEEDS * HOURS, `${totals.hours} hours`)
})
