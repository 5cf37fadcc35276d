import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RELEASES, tryRelease } from '../helpers/release-trial.ts'
import { sizeOf } from '../helpers/sizes.ts'

const runs = sizeOf('RUNS', 5)
const clients = sizeOf('CLIENTS', 24)
/** Seconds of a trial. A busy machine serves few connections, so the time has to be longer there. */
const seconds = sizeOf('SECONDS', 600)
const options = { workers: 4, clients, reload: ['--canary', '5%', '--for', `${seconds}s`] }

for (const name of Object.keys(RELEASES) as (keyof typeof RELEASES)[]) {
  if (name === 'good') continue
  for (let run = 1; run <= runs; run++) {
    test(`a release that ${name} is rolled back, and few requests notice it (run ${run})`, async (t) => {
      const { code, outcome, trial, exposed } = await tryRelease(t, name, options)
      assert.equal(outcome, 'failed', trial.why)
      assert.equal(code, 3, trial.why)
      assert.ok(exposed < 0.01, `${exposed * 100} % of the requests failed`)
    })
  }
}

for (let run = 1; run <= runs; run++) {
  test(`a good release rolls out (run ${run})`, async (t) => {
    const { code, outcome, trial } = await tryRelease(t, 'good', {
      ...options,
      reload: ['--canary', '5%', '--for', '60s']
    })
    assert.equal(outcome, 'done', trial.why)
    assert.equal(code, 0)
  })
}
