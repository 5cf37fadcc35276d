import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeChaos, missingKinds, runChaos } from '../chaos/chaos.ts'
import { sizeOf } from '../helpers/sizes.ts'

const seconds = sizeOf('CHAOS_SECONDS', 120)

test(`two services under every fault for ${seconds} s: every history of their shared state is right`, async (t) => {
  const seed = Number(process.env.CHAOS_SEED || 1 + (Date.now() % 1_000_000))
  t.diagnostic(`seed ${seed}`)
  const result = await runChaos({ seconds, seed, log: (line) => t.diagnostic(line) })
  t.diagnostic(describeChaos(result).join('\n'))
  assert.deepEqual(result.failures, [])
  assert.deepEqual(result.violations, [])
  assert.deepEqual(missingKinds(result.rounds), [])
})
