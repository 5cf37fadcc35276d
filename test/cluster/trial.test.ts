import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TrialReport } from '../../src/verdict/trial-report.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

interface Outcome {
  outcome: string
  why?: string
  trial: TrialReport
}

async function start(t: Parameters<typeof startService>[0], deploys: Deploys, env: Record<string, string> = {}) {
  deploys.deploy('1.0.0')
  return startService(t, { env: { REDIS: 'off', APP: deploys.app, ...env }, workers: 2 })
}

/** Begins a reload, and waits until its trial has begun. */
async function beginTrial(service: Service, ...flags: string[]) {
  const from = service.lines.length
  const reloaded = reload(service, ...flags)
  await service.line(({ msg }) => msg === 'trial started', from)
  return reloaded
}

async function reload(service: Service, ...flags: string[]) {
  const { code, stdout } = await muster(service, 'reload', ...flags, '--json')
  return { code, ...(JSON.parse(stdout) as { result: Outcome }).result }
}

test('without traffic a reload has no trial, starts no control and says why', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys, { CANARY_TIME: '' })
  deploys.deploy('2.0.0')
  const { code, outcome, trial } = await reload(service)
  assert.deepEqual([code, outcome, trial.state, trial.outcome], [0, 'done', 'none', 'undecided'])
  assert.match(trial.why, /^too little traffic: about 0 new connections in 30 s/)
  assert.equal(service.lines.filter(({ msg }) => msg === 'worker started').length, 4, 'two old ones, two new ones')
})

test('an operator ends a trial by hand, in both ways', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys)
  const [old] = [...service.workers().keys()]
  deploys.deploy('2.0.0')
  const rolledBack = beginTrial(service, '--for', '1h', '--canary', '10%')
  await service.line(({ msg }) => msg === 'trial started')
  assert.equal((await muster(service, 'rollback')).code, 0)
  const failed = await rolledBack
  assert.deepEqual([failed.code, failed.outcome, failed.why], [1, 'failed', 'an operator rolled it back'])
  assert.ok([...service.workers().keys()].includes(old!), 'the old workers stayed')

  const promoted = beginTrial(service, '--for', '1h')
  const from = service.lines.length
  await service.line(({ msg }) => msg === 'trial started', from)
  assert.equal((await muster(service, 'promote')).code, 0)
  const done = await promoted
  assert.deepEqual([done.code, done.outcome, done.trial.outcome], [0, 'done', 'promoted'])
  assert.ok(![...service.workers().keys()].includes(old!), 'every worker was replaced')
  assert.equal((await muster(service, 'promote')).code, 1, 'there is no trial any more')
})

test('an undecided trial is held for an operator, and the exit code says so', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys, { CANARY_UNDECIDED: 'hold' })
  deploys.deploy('2.0.0')
  const held = await reload(service, '--for', '500ms')
  assert.deepEqual([held.code, held.outcome, held.trial.state], [4, 'held', 'held'])
  assert.match(String(held.why), /`muster promote` lets it continue, `muster rollback` ends it$/)
  const status = await muster(service, 'status', '--json')
  const { result } = JSON.parse(status.stdout) as { result: { state: string; trial: TrialReport } }
  assert.deepEqual([result.state, result.trial.state], ['reloading', 'held'])
  assert.equal((await muster(service, 'promote')).code, 0)
  assert.equal(
    (await service.line(({ msg }) => String(msg).startsWith('rollout ') && msg !== 'rollout started')).msg,
    'rollout done'
  )
})

test('a trial without the old release on disk has no control, and goes on', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys)
  deploys.deploy('2.0.0')
  rmSync(join(dirname(dirname(deploys.app)), '1.0.0'), { recursive: true })
  const { code, outcome, trial } = await reload(service, '--for', '1s')
  assert.deepEqual([code, outcome, trial.outcome, trial.control], [0, 'done', 'undecided', null])
})

test('a stop during a trial ends the service in order', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys)
  deploys.deploy('2.0.0')
  const stopped = beginTrial(service, '--for', '1h')
  await service.line(({ msg }) => msg === 'trial started')
  service.child.kill('SIGTERM')
  assert.equal((await stopped).outcome, 'stopped')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})

test('--no-verdict judges nothing', async (t) => {
  const deploys = new Deploys(t)
  const service = await start(t, deploys, { CANARY_TIME: '3600000' })
  deploys.deploy('2.0.0')
  const { code, outcome, trial } = await reload(service, '--no-verdict')
  assert.deepEqual([code, outcome, trial], [0, 'done', undefined])
})
