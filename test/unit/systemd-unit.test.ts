import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { EXIT_CONFIG } from '../../src/common/errors.ts'
import { loadConfig } from '../../src/config/load.ts'
import { LIMITS } from '../../src/primary/policy/types.ts'
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
  test('it starts what is built, and its settings are right', () => {
    const [, main = ''] = /^\/usr\/bin\/node (\S+)$/.exec(service.get('ExecStart') ?? '') ?? []
    assert.ok(existsSync(join(ROOT, main)), main)
    const config = loadConfig(settled)
    assert.ok(config.production)
    assert.equal(config.runDir, `/var/lib/${service.get('StateDirectory')}`)
    assert.equal(config.cacheDir, `/var/cache/${service.get('CacheDirectory')}`)
  })

  test('a configuration that is not right is not tried again, other failures are', () => {
    assert.equal(service.get('RestartPreventExitStatus'), `${EXIT_CONFIG}`)
    assert.equal(service.get('Restart'), 'on-failure')
  })

  test('the primary alone gets SIGTERM, and has the time that a drain may take', () => {
    assert.equal(service.get('KillMode'), 'mixed')
    assert.ok(!service.has('KillSignal'))
    assert.ok(seconds('TimeoutStopSec') * 1000 > defaults.lameDuckMs + defaults.drainMs + 2000)
  })

  test('muster gives up before systemd does, and a worker may come back before the watchdog ends it', () => {
    assert.ok(seconds('TimeoutStartSec') * 1000 > LIMITS.bootAttempts * defaults.limits.bootMs)
    assert.ok(seconds('WatchdogSec') * 1000 > LIMITS.backoff.maxMs + defaults.limits.bootMs)
  })

  test('messages of a child process are heard, and a reload is one SIGHUP, not a command too', () => {
    assert.equal(service.get('NotifyAccess'), 'all')
    assert.equal(service.get('Type'), 'notify-reload')
    assert.ok(!service.has('ExecReload') && !service.has('ReloadSignal'))
  })

  test('V8 may compile', () => assert.ok(!service.has('MemoryDenyWriteExecute')))

  test('the socket is where muster listens without it', () => {
    assert.equal(parse(text('muster.socket')).get('ListenStream'), `${defaults.host}:${defaults.port}`)
  })
})

/** The unit as its own comment says it must be for an older systemd. */
function forOlderSystemd(unit: string): string {
  const [, instead = ''] = /use these two lines instead:\n((?:# \w+=.*\n)+)/.exec(unit) ?? []
  return unit.replace(/^Type=.*\n/m, instead.replaceAll('# ', ''))
}

describe('systemd finds no fault', { skip: missing('systemd-analyze') }, () => {
  /** What `systemd-analyze verify` says of the units; it would miss a node at another place. */
  function verify(folder: string, unit: string): string {
    writeFileSync(join(folder, 'muster.service'), unit.replaceAll('/usr/bin/node', process.execPath))
    writeFileSync(join(folder, 'muster.socket'), text('muster.socket'))
    const paths = ['muster.service', 'muster.socket'].map((name) => join(folder, name))
    return spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' }).stderr
  }

  test('with the unit', (t) => {
    const version = Number(
      /^systemd (\d+)/.exec(execFileSync('systemd-analyze', ['--version'], { encoding: 'utf8' }))?.[1]
    )
    const unit = text('muster.service')
    assert.doesNotMatch(verify(temporaryFolder(t), version < 253 ? forOlderSystemd(unit) : unit), /muster/)
  })

  test('with what takes its place for an older systemd', (t) => {
    const unit = forOlderSystemd(text('muster.service'))
    assert.equal(parse(unit).get('Type'), 'notify')
    assert.match(parse(unit).get('ExecReload') ?? '', /muster\.js reload$/)
    assert.doesNotMatch(verify(temporaryFolder(t), unit), /muster/)
  })

  test('and it would find one', (t) => {
    const unit = text('muster.service').replace('Restart=on-failure', 'Restart=sometimes')
    assert.match(verify(temporaryFolder(t), unit), /muster\.service:\d+: .*sometimes/)
  })
})
