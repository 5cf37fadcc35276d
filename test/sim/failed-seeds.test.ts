import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPlanSoon } from './run-plan.ts'
import { planOf } from './sim-plan.ts'
import '../helpers/takes-long.ts'

/** What was found, by its seed, and by the number of slots that a rollout replaced at a time: one if it is missing. Each runs for as long as it took to fail, and a little longer. */
const FAILED_SEEDS: { seed: number; hours: number; surge?: number; found: string }[] = [
  {
    seed: 10,
    hours: 5.5,
    found: 'a rollback gave up because no process could be created, and a slot stayed on the new release'
  },
  { seed: 13, hours: 1, found: 'at the end of a trial, a worker was forked and killed at once' },
  { seed: 1055, hours: 6, found: 'the simulator allowed no recycling beside a canary and its control' },
  {
    seed: 1062,
    hours: 4.5,
    found: 'in the simulator, a short stall ended a longer one, and messages changed their order'
  },
  { seed: 1727, hours: 4, found: 'the simulator counted a worker that was rightly taken for hung as one that stays' },
  {
    seed: 1067,
    hours: 6,
    surge: 2,
    found: 'in the simulator, a connection that had not reached the port when it closed was lost with the process'
  },
  {
    seed: 1171,
    hours: 2.5,
    surge: 3,
    found: 'a worker was killed as late while it moved connections that no other worker took'
  }
]

for (const { seed, hours, surge = 1, found } of FAILED_SEEDS) {
  test(`what once failed does not fail again: ${found} (seed ${seed})`, async () => {
    const { violation, simulatedMs } = await runPlanSoon({ ...planOf(seed, hours), surge })
    assert.equal(violation, undefined)
    assert.ok(simulatedMs >= hours * 3_600_000, `${simulatedMs} simulated ms`)
  })
}
