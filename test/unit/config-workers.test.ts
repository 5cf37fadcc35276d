import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { usableMemory } from '../../src/config/configuration.ts'
import { usableCpus } from '../../src/config/cpu-quota.ts'
import { loadConfig } from '../../src/config/load.ts'
import { issuesOf } from '../helpers/config-issues.ts'

describe('a range of workers', () => {
  test('begins with its smaller number, and the load decides from there', () => {
    const { workers, autoscaling } = loadConfig({ WORKERS: '2..8', SCALE_DOWN_TIME: '5000' })
    assert.deepEqual([workers, autoscaling], [2, { range: { min: 2, max: 8 }, scaleDownMs: 5000 }])
    assert.deepEqual(loadConfig({ WORKERS: '1..auto' }).autoscaling.range?.min, 1)
  })

  test('is absent when the number is fixed', () => {
    for (const WORKERS of ['3', 'auto', '']) assert.equal(loadConfig({ WORKERS }).autoscaling.range, undefined)
  })

  test('rebalancing is on unless it is turned off, or a client keeps its worker', () => {
    assert.equal(loadConfig({}).rebalances, true)
    assert.equal(loadConfig({ REBALANCE: 'off' }).rebalances, false)
    assert.equal(loadConfig({ SCHEDULING: 'sticky' }).rebalances, false)
  })
})

test('a reload replaces at least two workers at a time, unless a number is given', () => {
  const { surge, surgeBytes } = loadConfig({}).limits
  assert.equal(surge, Math.max(2, Math.floor(usableCpus() / 2)))
  assert.equal(surgeBytes, usableMemory() * 0.75)
  assert.equal(loadConfig({ RELOAD_SURGE: '1' }).limits.surge, 1)
  assert.equal(loadConfig({ RELOAD_SURGE: '12' }).limits.surge, 12)
  for (const RELOAD_SURGE of ['0', '100', '1.5', 'all'])
    assert.match(
      issuesOf({ RELOAD_SURGE })[0]!,
      /^RELOAD_SURGE: must be a number of workers from 1 to 99 /,
      RELOAD_SURGE
    )
})

describe('an invalid range', () => {
  const cases: [environment: Record<string, string>, issue: RegExp][] = [
    [{ WORKERS: '8..2' }, /^WORKERS: "8\.\.2": a range begins with its smaller number: write 2\.\.8$/],
    [{ WORKERS: '0..4' }, /^WORKERS: "0\.\.4": a service has 1 worker at least: write 1\.\.4$/],
    [{ WORKERS: '2..' }, /^WORKERS: "2\.\.": is no range .* write both numbers, such as 2\.\.8$/],
    [{ WORKERS: '..8' }, /^WORKERS: "\.\.8": is no range/],
    [{ WORKERS: '2...8' }, /^WORKERS: "2\.\.\.8": is no range/],
    [{ WORKERS: '999..auto' }, /^WORKERS: "999\.\.auto": .* auto is \d+ here: write a number$/],
    [{ WORKERS: '2..129' }, /^WORKERS: must not exceed MAX_WORKERS, which is 128$/],
    [{ SCALE_DOWN_TIME: '0' }, /^SCALE_DOWN_TIME: must be >= 1000/],
    [{ REBALANCE: 'yes' }, /^REBALANCE: must be one of on, off, not "yes"$/]
  ]
  for (const [environment, issue] of cases) {
    test(`${JSON.stringify(environment)} is reported with its remedy`, () => {
      const issues = issuesOf(environment)
      assert.equal(issues.length, 1)
      assert.match(issues[0]!, issue)
    })
  }
})
