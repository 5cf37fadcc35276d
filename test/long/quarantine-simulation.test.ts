import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted } from '../helpers/counted.ts'
import { busyRuns, SCENARIOS } from '../helpers/quarantine-scenarios.ts'

const RUNS = Math.ceil(1000 * Number(process.env.LONG_SCALE ?? 1))

for (const scenario of SCENARIOS) {
  test(`in ${RUNS} simulations: ${scenario.promise}`, (t) => {
    counted(t, { 'simulated services with a deadly route': RUNS })
    const { wrong, missed } = busyRuns(scenario, RUNS)
    const { mayAccuse = 0 } = scenario
    assert.ok(wrong.length <= RUNS * mayAccuse, `innocent routes are quarantined: ${wrong}`)
    assert.ok(missed <= RUNS * Math.max(scenario.mayMiss, 0.01), `${missed} of ${RUNS} runs found nothing`)
  })
}
