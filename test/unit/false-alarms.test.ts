import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../helpers/random.ts'
import { runTrial } from '../helpers/run-trial.ts'
import { heavyTailedTraffic } from '../helpers/simulated-traffic.ts'

test('200 identical releases with alpha 0.05 raise few false alarms (npm run test:long does it with 10,000)', () => {
  let alarms = 0
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(Math.imul(seed, 0x9e3779b1))
    const traffic = heavyTailedTraffic(random, 10 ** (3.5 * random.next()), 0.05)
    if (runTrial(random, traffic, 40, { alpha: 0.05, tolerance: 0.1 }).outcome === 'worse') alarms++
  }
  ok(alarms <= 10, `${alarms} alarms`)
})
