import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceStatus } from '../../src/admin/command-context.ts'
import { hostReport, publicReason } from '../../src/primary/hosts/host-report.ts'
import { readHosts } from '../../src/state/hosts/host-registry.ts'

const STATUS: ServiceStatus = {
  version: '1.0.0',
  host: 'web-1',
  pid: 40,
  url: 'http://localhost:8080',
  folder: '/srv/app',
  uptimeSeconds: 60,
  generation: 2,
  desired: 1,
  autoscaling: null,
  quarantine: [],
  scheduling: 'rr',
  state: 'running',
  redis: true,
  workers: [{ slot: 0, pid: 41, generation: 2, status: 'ready', uptimeSeconds: 59, requests: 7, rssBytes: 99 }],
  lastReload: {
    outcome: 'failed',
    generation: 3,
    durationMs: 10,
    why: 'Error: https://ada:secret@db/ refused\n at x.js'
  },
  restarts: {}
}
const report = hostReport('web-1-1234', '1.0.0-aa', STATUS)
const stored = (ends: number, ttl: number, change: object = {}) =>
  `${ends} ${ttl} ${JSON.stringify({ ...report, ...change })}`

test('a host announces its workers and how its last reload ended, and no path and no password', () => {
  assert.deepEqual(report.workers, [
    {
      slot: 0,
      pid: 41,
      generation: 2,
      status: 'ready',
      requests: 7,
      inFlight: 0,
      connections: 0,
      rssBytes: 99,
      utilization: 0
    }
  ])
  assert.deepEqual(report.lastReload, { outcome: 'failed', generation: 3, why: 'Error: https://db/ refused' })
  assert.doesNotMatch(JSON.stringify(report), /srv|secret/)
})

test('a reason for other hosts has 200 characters at most', () => {
  assert.equal(publicReason('x'.repeat(200)), 'x'.repeat(200))
  assert.equal(publicReason('x'.repeat(201)), `${'x'.repeat(199)}…`)
})

test('a host is listed until its report ends, with the age by the clock of Redis', () => {
  assert.deepEqual(readHosts([stored(8000, 7000)], 3000), [{ ...report, ageMs: 2000 }])
  assert.equal(readHosts([stored(8000, 7000)], 7999).length, 1)
  assert.deepEqual(readHosts([stored(8000, 7000)], 8000), [])
})

test('a report from before the clock of Redis was set back is not listed', () => {
  assert.deepEqual(readHosts([stored(8000, 7000)], 999), [])
})

test('a field that is no report of a host is left out, and the others are sorted by host', () => {
  const fields = [stored(9, 5, { host: 'web-2', id: 'web-2-1' }), '9 5 {', '9 5 {"id":"x"}', 'text', '', stored(9, 5)]
  assert.deepEqual(
    readHosts(fields, 5).map(({ id }) => id),
    ['web-1-1234', 'web-2-1']
  )
})
