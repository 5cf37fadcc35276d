import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Damage, startCopy } from '../helpers/broken-copy.ts'
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

interface Broken extends Damage {
  name: string
  promise: number
  faults: string
  env?: Record<string, string>
}

const BROKEN: Broken[] = [
  {
    name: 'a reload closes connections instead of transferring them',
    promise: 1,
    file: 'primary/workers/worker-pool.js',
    from: /(?<=type: 'drain',\s+)transfer,/,
    to: 'transfer: false,',
    faults: 'reload'
  },
  {
    name: 'each hit is counted twice',
    promise: 2,
    file: 'state/shared/counters.js',
    from: "local value = redis.call('INCRBY', KEYS[1], ARGV[3])",
    to: "redis.call('INCRBY', KEYS[1], ARGV[3])\nlocal value = redis.call('INCRBY', KEYS[1], ARGV[3])",
    faults: 'stop'
  },
  {
    name: 'hung workers are not looked for',
    promise: 5,
    file: 'primary/policy/plan.js',
    from: '.filter((worker) => isWatched(worker) && !worker.killed && now >= examineAt(worker, limits))',
    to: '.filter(() => false)',
    faults: 'hang',
    env: { HEARTBEAT_TIMEOUT: '2000' }
  },
  {
    name: 'a worker that crashed has no successor',
    promise: 5,
    file: 'primary/policy/plan.js',
    from: '.filter((slot) => mayFork(state, slot, now))',
    to: '.filter((slot) => mayFork(state, slot, now) && !state.slots[slot])',
    faults: 'kill'
  },
  {
    name: 'the counters of a worker that has ended are forgotten',
    promise: 6,
    file: 'primary/metrics/retained-counters.js',
    from: 'this.#exited.set(slot, last)',
    to: '',
    faults: 'kill'
  },
  {
    name: 'a request overwrites what another one of its session has counted',
    promise: 3,
    file: 'http/plugins/session/visits.js',
    from: /const visit = takeVisit[\s\S]*?\+ visit/,
    to: 'return (session.visits = (session.visits ?? 0) + 1)',
    faults: 'stop'
  },
  {
    name: 'liveness asks Redis',
    promise: 7,
    file: 'http/plugins/health.js',
    from: "app.get(livez, { config }, async () => ({ status: 'ok' }))",
    to: 'app.get(livez, { config }, async (_, reply) => reply.code(app.cluster().redis ? 200 : 503).send({}))',
    faults: 'redis-stop',
    env: { REDIS_TIMEOUT: '1000' }
  }
]

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
