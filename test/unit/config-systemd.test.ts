import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { issuesOf } from '../helpers/config-issues.ts'

describe('the variables of systemd', () => {
  const self = String(process.pid)
  const OTHER = '1'

  test('for this process are read: where to report, how often, and the passed socket', () => {
    const config = loadConfig({
      NOTIFY_SOCKET: '/run/systemd/notify',
      WATCHDOG_USEC: '60000000',
      WATCHDOG_PID: self,
      LISTEN_FDS: '1',
      LISTEN_PID: self,
      LISTEN_FDNAMES: 'muster.socket'
    })
    assert.deepEqual(config.systemd, { notifySocket: '/run/systemd/notify', watchdogMs: 60_000 })
    assert.equal(config.listenFd, 3)
    assert.equal(
      loadConfig({ WATCHDOG_USEC: '500000' }).systemd.watchdogMs,
      500,
      'without a pid it is for every process'
    )
  })

  test('for another process are ignored, valid or not', () => {
    for (const [WATCHDOG_USEC, LISTEN_FDS] of [
      ['60000000', '1'],
      ['x', '2']
    ]) {
      const others = { WATCHDOG_USEC, WATCHDOG_PID: OTHER, LISTEN_FDS, LISTEN_PID: OTHER }
      assert.deepEqual(loadConfig(others), loadConfig({}))
    }
    assert.equal(loadConfig({ LISTEN_FDS: '1' }).listenFd, undefined, 'without a pid it is for no process')
    assert.equal(loadConfig({ LISTEN_FDS: '0', LISTEN_PID: self }).listenFd, undefined)
  })

  test('must pass one socket that the primary can accept on, and a valid time', () => {
    const LISTEN_PID = self
    assert.deepEqual(issuesOf({ LISTEN_PID, LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:admin' }), [
      'LISTEN_FDS: muster takes one stream socket, not 2 (http:admin)'
    ])
    assert.match(issuesOf({ LISTEN_PID, LISTEN_FDS: 'x' }).join(), /^LISTEN_FDS: .* not x \(unnamed\)$/)
    assert.match(
      issuesOf({ LISTEN_PID, LISTEN_FDS: '1', SCHEDULING: 'reuseport' }).join(),
      /^SCHEDULING: reuseport cannot/
    )
    for (const WATCHDOG_USEC of ['0', '-1', 'soon']) {
      assert.match(issuesOf({ WATCHDOG_USEC }).join(), /^WATCHDOG_USEC: must be a number of microseconds, not "/)
    }
  })
})
