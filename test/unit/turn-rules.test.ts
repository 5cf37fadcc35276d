import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RolloutRecord } from '../../src/ipc/host-messages.ts'
import { describeWait, LEASE_LOST, recordOf, refusalOf } from '../../src/primary/hosts/turn-rules.ts'

const BEGAN: RolloutRecord = { state: 'rolling', release: '1.0.0-aa', host: 'web-1', id: 'web-1-1234' }
const lastOf = (change: Partial<RolloutRecord>) => ({
  record: { ...BEGAN, ...change },
  fence: 7,
  at: 1_800_000_000_000
})
const ended = (outcome: 'done' | 'failed' | 'stopped', why?: string) => ({
  outcome,
  generation: 2,
  durationMs: 5,
  ...(why !== undefined && { why })
})

test('a host may roll out when no host has, and when the last rollout of the release was done or says nothing', () => {
  assert.equal(refusalOf(undefined, '1.0.0-aa'), undefined)
  for (const state of ['done', 'ended'] as const) assert.equal(refusalOf(lastOf({ state }), '1.0.0-aa'), undefined)
})

test('a release that failed on another host is refused with the host, the time, the reason and the remedy', () => {
  const why = refusalOf(lastOf({ state: 'failed', why: 'worker 0 crashed' }), '1.0.0-aa')
  assert.equal(
    why,
    'release 1.0.0-aa failed on web-1-1234 at 2027-01-15T08:00:00.000Z (worker 0 crashed): deploy another release, or run `muster reload --force` on one host'
  )
})

test('a release whose rollout began on a host and never ended is refused', () => {
  const why = refusalOf(lastOf({}), '1.0.0-aa')
  assert.match(
    why!,
    /^web-1-1234 began to roll out release 1\.0\.0-aa at .* and has not reported the end: examine that host/
  )
})

test('another release is never refused, nor one that cannot be read: its rollout reports why', () => {
  for (const state of ['failed', 'rolling'] as const) {
    assert.equal(refusalOf(lastOf({ state }), '1.0.1-bb'), undefined)
    assert.equal(refusalOf(lastOf({ state }), undefined), undefined)
  }
})

test('only a rollout that failed by itself counts against the release', () => {
  assert.equal(recordOf(BEGAN, ended('done'), false).state, 'done')
  assert.equal(recordOf(BEGAN, ended('done'), true).state, 'done')
  assert.equal(recordOf(BEGAN, ended('failed', 'it crashed'), false).state, 'failed')
  assert.equal(recordOf(BEGAN, ended('failed', 'it crashed'), true).state, 'failed')
  assert.equal(recordOf(BEGAN, ended('failed', `${LEASE_LOST}: Redis is away`), true).state, 'ended')
  assert.equal(recordOf(BEGAN, ended('stopped', 'the service stops'), false).state, 'ended')
})

test('a record contains the first line of the reason, without passwords', () => {
  const why = `worker 0 cannot boot: Error: redis://ada:secret@db:6379 refused\n    at secret.js:1`
  assert.equal(recordOf(BEGAN, ended('failed', why), false).why, 'worker 0 cannot boot: Error: redis://db:6379 refused')
})

test('a host that waits says which host it waits for, and how many are ahead', () => {
  const answer = { fence: 0, ticket: 3, ahead: 0 }
  assert.equal(describeWait({ ...answer, last: lastOf({}) }), 'web-1-1234 rolls out release 1.0.0-aa')
  assert.equal(
    describeWait({ ...answer, ahead: 1, last: lastOf({}) }),
    'web-1-1234 rolls out release 1.0.0-aa, and 1 more host is ahead'
  )
  assert.equal(
    describeWait({ ...answer, ahead: 2, last: lastOf({ state: 'done' }) }),
    'another host has the rollout lease, and 2 more hosts are ahead'
  )
})
