import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RELEASES, tryRelease } from '../helpers/release-trial.ts'
import { sizeOf } from '../helpers/sizes.ts'

const runs = sizeOf('RUNS', 5)
/** Seconds of a trial. A busy machine serves few connections, so the time has to be longer there. */
const seconds = sizeOf('SECONDS', 600)
/** The short form has a larger share, and tries the release that shows itself first. */
const isShort = Number(process.env.LONG_SCALE ?? 1) < 1
const share = isShort ? '30%' : '5%'
const options = { workers: 4, clients: 24, reload: ['--canary', share, '--for', `${seconds}s`] }
const bad = (Object.keys(RELEASES) as (keyof typeof RELEASES)[]).filter((name) => name !== 'good')

for (const name of isShort ? bad.slice(0, 1) : bad) {
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
      reload: ['--canary', share, '--for', isShort ? '10s' : '60s']
    })
    assert.equal(outcome, 'done', trial.why)
    assert.equal(code, 0)
  })
}
