import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once as ask } from '../helpers/http.ts'
import { Knocker } from '../helpers/knocker.ts'
import { fixture } from '../helpers/load.ts'
import { isAlive, type Line, muster, processesWith, startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { until } from '../helpers/until.ts'
import { commandOf, primaryOf, redisOf, stopUpgraded } from '../helpers/upgrades.ts'

/** A point of the protocol, by the line that one of the primaries writes there, and the primary that is killed then. */
interface Point {
  name: string
  kill: 'old' | 'successor'
  reached: (line: Line, isOld: boolean) => boolean
}

const step = (name: string, ofOld: boolean) => (line: Line, isOld: boolean) =>
  line.msg === 'upgrade step' && line.step === name && isOld === ofOld

const POINTS: Point[] = [
  { name: 'while a worker of the successor boots', kill: 'old', reached: step('booting', false) },
  { name: 'while one of its workers boots', kill: 'successor', reached: step('booting', false) },
  { name: 'while the first old worker drains', kill: 'successor', reached: step('leaving', true) },
  { name: 'while the first old worker drains', kill: 'old', reached: step('leaving', true) },
  { name: 'right after the start', kill: 'successor', reached: ({ msg }) => msg === 'upgrade started' },
  { name: 'when it is prepared', kill: 'successor', reached: ({ msg }) => msg === 'successor prepared' },
  { name: 'when the successor is prepared', kill: 'old', reached: ({ msg }) => msg === 'successor prepared' },
  { name: 'while it takes over', kill: 'successor', reached: step('committing', true) },
  { name: 'while the successor takes over', kill: 'old', reached: step('committing', true) },
  { name: 'when the successor is in charge', kill: 'old', reached: step('serving', false) }
]

for (const { name, kill, reached } of POINTS.slice(0, sizeOf('KILL_POINTS', POINTS.length))) {
  test(`SIGKILL of the ${kill === 'old' ? 'old primary' : 'successor'} ${name}: the port never refuses, Redis stays, nothing leaks`, async (t) => {
    const env = { APP: fixture('slow'), CANARY_TIME: '100', LOG_LEVEL: 'debug' }
    const service = await startService(t, { workers: 2, env })
    const redis = redisOf(service)
    const old = primaryOf(service)
    const knocker = new Knocker(t, service.port)
    let successor = 0
    const upgrading = muster(service, 'upgrade')
    await service.line((line) => {
      if (line.msg === 'upgrade started') successor = line.successor as number
      if (!reached(line, line.pid === old)) return false
      process.kill(kill === 'old' ? old : successor, 'SIGKILL')
      return true
    })
    const heir = kill === 'old' ? successor : old
    const { code } = await upgrading
    if (kill === 'successor') assert.equal(code, 1)
    // One primary, with two workers that serve, is in charge.
    await until(async () => {
      const { stdout } = await muster(service, 'status', '--json')
      const { result } = JSON.parse(stdout || '{}')
      const ready = result?.workers.filter((worker: { status: string }) => worker.status === 'ready')
      return result?.pid === heir && result.state === 'running' && ready.length === 2
    }, 'a primary in charge')
    assert.equal(primaryOf(service), heir)
    assert.equal((await ask(service.port, 'GET', '/echo?id=1')).status, 200)
    await knocker.stop()
    assert.equal(knocker.refused, 0)
    assert.ok(knocker.opened > 10)
    assert.equal(redisOf(service), redis)
    // The primary, two workers, the reaper and Redis.
    const left = () => processesWith(service.runDir).filter((pid) => isAlive(pid))
    await until(() => left().length === 5, 'the end of all other processes', 30_000).catch(() => {
      assert.fail(
        left()
          .map((pid) => `${pid} ${commandOf(pid)}`)
          .join('\n')
      )
    })
    await stopUpgraded(service)
  })
}

test('an old primary that is killed before it has passed anything on ends as one without an upgrade: no process stays', async (t) => {
  const service = await startService(t, { workers: 2, env: { APP: fixture('slow'), LOG_LEVEL: 'debug' } })
  const upgrading = muster(service, 'upgrade')
  await service.line(({ msg }) => {
    if (msg !== 'upgrade started') return false
    process.kill(primaryOf(service), 'SIGKILL')
    return true
  })
  assert.equal((await upgrading).code, 1)
  await until(() => processesWith(service.runDir).every((pid) => !isAlive(pid)), 'the end of all processes')
})
