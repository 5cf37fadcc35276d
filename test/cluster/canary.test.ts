import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TrialReport } from '../../src/verdict/trial-report.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, startService } from '../helpers/service.ts'
import { Visitors } from '../helpers/visitors.ts'
import '../helpers/takes-long.ts'

const work = (status: string) =>
  `app.get('/work', { config: { session: false } }, (request, reply) => reply.code(${status}).send({}))`

interface Reload {
  ok: boolean
  result: { outcome: string; why?: string; trial: TrialReport; generation: number }
}

test('a release that answers with errors is rolled back by its own traffic, and no connection is lost', async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', work('200'))
  const service = await startService(t, { env: { REDIS: 'off', APP: deploys.app, CANARY_TIME: '60000' }, workers: 2 })
  const before = [...service.workers().keys()]
  const visitors = new Visitors(t, service.port, { fresh: 6, kept: 10, paths: ['/work'] })
  deploys.deploy('bad', work('Math.random() < 0.5 ? 500 : 200'))
  const { code, stdout } = await muster(service, 'reload', '--canary', '20%', '--json')
  const { result } = JSON.parse(stdout) as Reload
  assert.equal(code, 3, stdout)
  assert.equal(result.outcome, 'failed')
  assert.match(String(result.why), /worse: .*errors/)
  assert.equal(result.trial.outcome, 'worse')
  assert.deepEqual([...service.workers().keys()], before, 'every old worker stayed')
  await visitors.stop()
  assert.deepEqual([...visitors.lost], [])
})
