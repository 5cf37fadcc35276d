import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STEPS as STEPS_OF_COMMAND_LINE } from '../../src/cli/output/upgrade-line.ts'
import { consoleModule } from '../helpers/page-module.ts'

const { describePrimary, describeUpgrade, STEPS } = await consoleModule('model/upgrades.js')
const { Rollouts } = await consoleModule('model/rollouts.js')

const RUNNING = { role: 'successor', step: 'leaving', slots: 1, pid: 50 }
const PREPARED = { ...RUNNING, version: '1.2.3', node: 'v24.1.0' }
const entry = (event: string, fields = {}) => ({ at: '2026-01-31T12:00:00Z', event, ...fields })

/** The newest rollout after these entries and a status. */
function upgradeAfter(entries: object[], upgrade?: object) {
  const rollouts = new Rollouts()
  for (const one of entries) rollouts.apply(one)
  rollouts.applyStatus({ upgrade })
  return rollouts.list[0]
}

test('the console and the command line have the same texts for the steps of an upgrade', () => {
  assert.deepEqual(STEPS, STEPS_OF_COMMAND_LINE)
})

test('an upgrade under way is told with its step and its slots, also while it is rolled back', () => {
  const text = 'a worker of the old primary drains; 1 of 2 slots have a new worker.'
  assert.equal(describeUpgrade(RUNNING, 2), `Upgrading: ${text}`)
  assert.equal(describeUpgrade({ ...RUNNING, why: 'it crashed' }, 2), `Rolling the upgrade back: ${text}`)
  assert.match(describeUpgrade({ ...RUNNING, step: 'dancing', slots: 3 }, 2), /: dancing; 2 of 2 slots/)
})

test('the new primary is named by what is known of it', () => {
  assert.equal(describePrimary(PREPARED), 'muster 1.2.3 on Node.js v24.1.0, pid 50')
  assert.equal(describePrimary(RUNNING), 'pid 50')
  assert.equal(describePrimary({}), '')
})

test('an upgrade under way has the version and the reason of the status, and a reload has neither', () => {
  const begins = entry('upgrade begins', { successor: 50 })
  assert.deepEqual(upgradeAfter([begins]).primary, { pid: 50 })
  const failing = upgradeAfter([begins], { ...PREPARED, why: 'it crashed' })
  assert.deepEqual([failing.primary, failing.why], [{ pid: 50, version: '1.2.3', node: 'v24.1.0' }, 'it crashed'])
  const reload = upgradeAfter([entry('reload begins', { generation: 2 })], { ...PREPARED, why: 'it crashed' })
  assert.deepEqual([reload.primary.version, reload.why], [undefined, undefined])
})

test('seen from the new primary, the pid of the old one is not that of the new one', () => {
  const status = { ...PREPARED, role: 'predecessor', pid: 40 }
  assert.equal(upgradeAfter([entry('upgrade begins', { successor: 50 })], status).primary.pid, 50)
})

test('the journal has the last word on an upgrade that has ended', () => {
  const entries = [
    entry('upgrade begins', { successor: 50 }),
    entry('upgrade failed', { successor: 50, version: '1.2.3', node: 'v24.1.0', why: 'slot 1 is broken' })
  ]
  const failed = upgradeAfter(entries, { ...PREPARED, why: 'another reason' })
  assert.deepEqual([failed.outcome, failed.why, failed.primary.node], ['failed', 'slot 1 is broken', 'v24.1.0'])
})
