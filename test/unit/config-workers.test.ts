import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
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
