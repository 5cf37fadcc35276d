import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { EXIT_CONFIG } from '../../src/common/errors.ts'
import { loadConfig } from '../../src/config/load.ts'
import { LIMITS } from '../../src/primary/policy/policy-limits.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const text = (name: string) => readFileSync(join(ROOT, 'deploy/systemd', name), 'utf8')

/** What the directives of a unit say. */
const parse = (unit: string) =>
  new Map([...unit.matchAll(/^([A-Z]\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value] as const))

const service = parse(text('muster.service'))
const seconds = (name: string) => Number(service.get(name))
const settled = Object.fromEntries((service.get('Environment') ?? '').split(' ').map((one) => one.split('=')))
const defaults = loadConfig({})

describe('the unit agrees with the code', () => {
  test('the unit starts the build, and its settings are valid', () => {
    const [, main = ''] = /^\/usr\/bin\/node (\S+)$/.exec(service.get('ExecStart') ?? '') ?? []
    assert.ok(existsSync(join(ROOT, main)), main)
    const config = loadConfig(settled)
    assert.ok(config.production)
    assert.equal(config.runDir, `/var/lib/${service.get('StateDirectory')}`)
    assert.equal(config.cacheDir, `/var/cache/${service.get('CacheDirectory')}`)
  })

  test('invalid configuration is not retried, other failures are', () => {
    assert.equal(service.get('RestartPreventExitStatus'), `${EXIT_CONFIG}`)
    assert.equal(service.get('Restart'), 'on-failure')
  })

  test('only the primary gets SIGTERM, with enough time for a drain', () => {
    assert.equal(service.get('KillMode'), 'mixed')
    assert.ok(!service.has('KillSignal'))
    assert.ok(seconds('TimeoutStopSec') * 1000 > defaults.lameDuckMs + defaults.drainMs + 2000)
  })

  test("muster's deadlines are shorter than systemd's", () => {
    assert.ok(seconds('TimeoutStartSec') * 1000 > LIMITS.bootAttempts * defaults.limits.bootMs)
    assert.ok(seconds('WatchdogSec') * 1000 > LIMITS.backoff.maxMs + defaults.limits.bootMs)
  })

  test('messages of child processes are accepted, and a reload is a SIGHUP', () => {
    assert.equal(service.get('NotifyAccess'), 'all')
    assert.equal(service.get('Type'), 'notify-reload')
    assert.ok(!service.has('ExecReload') && !service.has('ReloadSignal'))
  })

  test('the unit lets V8 compile', () => assert.ok(!service.has('MemoryDenyWriteExecute')))

  test('the socket unit listens where muster would', () => {
    assert.equal(parse(text('muster.socket')).get('ListenStream'), `${defaults.host}:${defaults.port}`)
  })
})

/** The unit as its own comment says it must be for an older systemd. */
function forOlderSystemd(unit: string): string {
  const [, instead = ''] = /use these two lines instead:\n((?:# \w+=.*\n)+)/.exec(unit) ?? []
  return unit.replace(/^Type=.*\n/m, instead.replaceAll('# ', ''))
}

describe('systemd-analyze', { skip: missing('systemd-analyze') }, () => {
  /** What `systemd-analyze verify` says of the units; it would miss a node at another place. */
  function verify(folder: string, unit: string): string {
    writeFileSync(join(folder, 'muster.service'), unit.replaceAll('/usr/bin/node', process.execPath))
    writeFileSync(join(folder, 'muster.socket'), text('muster.socket'))
    const paths = ['muster.service', 'muster.socket'].map((name) => join(folder, name))
    return spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' }).stderr
  }

  test('accepts the unit', (t) => {
    const version = Number(
      /^systemd (\d+)/.exec(execFileSync('systemd-analyze', ['--version'], { encoding: 'utf8' }))?.[1]
    )
    const unit = text('muster.service')
    assert.doesNotMatch(verify(temporaryFolder(t), version < 253 ? forOlderSystemd(unit) : unit), /muster/)
  })

  test('accepts the unit for an older systemd', (t) => {
    const unit = forOlderSystemd(text('muster.service'))
    assert.equal(parse(unit).get('Type'), 'notify')
    assert.match(parse(unit).get('ExecReload') ?? '', /muster\.js reload$/)
    assert.doesNotMatch(verify(temporaryFolder(t), unit), /muster/)
  })

  test('rejects a broken unit', (t) => {
    const unit = text('muster.service').replace('Restart=on-failure', 'Restart=sometimes')
    assert.match(verify(temporaryFolder(t), unit), /muster\.service:\d+: .*sometimes/)
  })
})
