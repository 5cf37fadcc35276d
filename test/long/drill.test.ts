import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startCopy } from '../helpers/broken-copy.ts'
import { BROKEN } from '../helpers/broken-promises.ts'
import { ROOT } from '../helpers/documents.ts'
import { explain, promisesThat, runDrill } from '../helpers/drill.ts'
import { EXAMPLE, startService, temporaryFolder } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { cpuWaitMs } from '../helpers/timed.ts'

/** The short form tries some faults only. */
const faults = sizeOf('DRILL_FAULTS', 10) < 10 ? ['--faults', 'kill,bad-release,reload'] : []
const MAX_SECONDS = 180
/** Services and drills wait most of the time. */
const TOGETHER = { concurrency: 3 }
/** The test machine may be busy. */
const PATIENT = { BOOT_TIMEOUT: '120000' }
const API = join(ROOT, 'examples/json-api/app.js')
const API_REQUESTS = [
  { method: 'GET', path: '/todos' },
  { method: 'POST', path: '/sign-in', body: { user: 'nemo', password: 'correct horse battery' } }
]

describe(
  `a drill of at most ${MAX_SECONDS} s finds no promise broken, and leaves the service as it was:`,
  TOGETHER,
  () => {
    for (const [name, APP] of [
      ['the example', EXAMPLE],
      ['a JSON API', API]
    ] as const) {
      test(name, async (t) => {
        const service = await startService(t, { env: { APP, SIGN_IN_LIMIT: '0', ...PATIENT } })
        const requests = join(temporaryFolder(t), 'requests.json')
        writeFileSync(requests, JSON.stringify(API_REQUESTS))
        const args = APP === API ? ['--requests', requests] : []
        const [began, waitedMs] = [performance.now(), cpuWaitMs()]
        const result = await runDrill(service, ...faults, ...args)
        const seconds = (performance.now() - began - cpuWaitMs() + waitedMs) / 1000
        t.diagnostic(`${Math.round(seconds)} s`)
        assert.deepEqual(promisesThat('broken', result), [], explain(result))
        assert.deepEqual(result.observations.differences, [])
        assert.equal(result.code, 0)
        const held = APP === API ? [1, 4, 5, 6] : [1, 2, 3, 4, 5, 6]
        assert.deepEqual(promisesThat('held', result), faults.length === 0 ? [...held, 7] : held, explain(result))
        assert.ok(seconds < MAX_SECONDS, `${seconds} s`)
        assert.deepEqual(await service.stop(), { code: 0, signal: null })
      })
    }
  }
)

describe('a drill finds the promise broken, and no other, when', TOGETHER, () => {
  for (const { name, promise, faults, env, ...damage } of BROKEN.slice(
    0,
    Math.max(5, sizeOf('BROKEN', BROKEN.length))
  )) {
    test(name, async (t) => {
      const service = await startCopy(t, damage, env)
      const result = await runDrill(service, '--faults', faults)
      assert.deepEqual(promisesThat('broken', result), [promise], explain(result))
      assert.equal(result.code, 1)
    })
  }
})
