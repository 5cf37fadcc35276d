import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeChaos, missingKinds, runChaos } from '../chaos/chaos.ts'
import { counted } from '../helpers/counted.ts'
import { sizeOf } from '../helpers/sizes.ts'

const seconds = sizeOf('CHAOS_SECONDS', 120)

test(`two services under every fault for ${seconds} s: every history of their shared state is right`, async (t) => {
  const seed = Number(process.env.CHAOS_SEED || 1 + (Date.now() % 1_000_000))
  t.diagnostic(`seed ${seed}`)
  const result = await runChaos({ seconds, seed, log: (line) => t.diagnostic(line) })
  t.diagnostic(describeChaos(result).join('\n'))
  counted(t, {
    'checked histories of real services': result.rounds.length,
    'operations in them': result.rounds.reduce((sum, { operations }) => sum + operations.length, 0),
    'faults in them': [...result.faults.values()].reduce((sum, times) => sum + times, 0)
  })
  assert.deepEqual(result.failures, [])
  assert.deepEqual(result.violations, [])
  assert.deepEqual(missingKinds(result.rounds), [])
})
