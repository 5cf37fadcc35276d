import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { command, overHttp, TOKENS } from '../helpers/admin.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, startService } from '../helpers/service.ts'
import { timed, unhinderedMs } from '../helpers/timed.ts'
import '../helpers/takes-long.ts'

timed('the admin socket answers while every worker is stopped or dead', async (t) => {
  const { url } = await startRedis(t)
  // HEARTBEAT_TIMEOUT is 0, so no worker is replaced while none answers.
  const service = await startService(t, { env: { REDIS_URL: url, HEARTBEAT_TIMEOUT: '0', ADMIN_TIMEOUT: '500' } })
  const pids = [...service.workers().keys()]
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const begun = unhinderedMs()
  assert.equal((await command(service, 'status')).status, 200)
  const took = unhinderedMs() - begun
  assert.ok(took < 3000, `${took} ms`)
  // The command line: as soon, beside what it takes here and now to start a process.
  const before = unhinderedMs()
  await muster(service, '--help')
  const started = unhinderedMs()
  const { code, stdout, stderr } = await muster(service, 'status')
  const typed = unhinderedMs() - started
  t.diagnostic(`over the socket ${Math.round(took)} ms, typed ${Math.round(typed)} ms`)
  assert.ok(typed < 3000 + (started - before), `${typed} ms`)
  assert.equal(code, 0)
  for (const [slot, pid] of pids.entries()) {
    assert.match(stdout, new RegExp(`^${slot} +${pid} +ready `, 'm'))
    assert.match(stderr, new RegExp(`^muster: slot ${slot} of \\S+, pid ${pid}: no answer in 1000 ms$`, 'm'))
  }
  const late = await command(service, 'diagnose', { slot: 0 })
  assert.deepEqual([late.status, late.body.message], [503, 'the worker did not do it: no answer in 500 ms'])

  const from = service.lines.length
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  const dead = await command(service, 'status')
  assert.equal(dead.status, 200)
  assert.deepEqual(dead.body.result.desired, 2)
  await service.ready(2, from)
})

test('a command names the worker that died before it answered, and the slot without a worker', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, CANARY_TIME: '0' } })
  const [first] = service.workers().keys()
  const from = service.lines.length
  const profiled = command(service, 'profile', { slot: 0, seconds: 30 })
  await service.line(({ msg, command: name }) => msg === 'command received' && name === 'profile', from)
  const second = await command(service, 'report', { slot: 1 })
  assert.deepEqual([second.status, second.body.message], [409, 'another profile, report or snapshot is being written'])
  process.kill(first!, 'SIGKILL')
  const { status, body } = await profiled
  assert.deepEqual([status, body.message], [503, 'the worker did not do it: the other process is gone'])
  await service.ready(1, from)
  assert.equal((await command(service, 'report', { slot: 1 })).status, 200, 'the next one may')

  // The caller has hung up in the middle, and the rollout continues.
  const socketPath = join(service.runDir, 'admin.sock')
  const call = request({ socketPath, path: '/commands/reload', method: 'POST' }).end()
  call.on('error', () => {})
  await service.line(({ msg }) => msg === 'rollout started', from)
  call.destroy()
  await service.line(({ msg }) => msg === 'rollout done', from)
  await service.line(
    ({ msg, command: name, ok }) => msg === 'command answered' && name === 'reload' && ok === true,
    from
  )

  // Of a killed primary the socket stays behind; the next one takes the folder.
  process.kill(service.pid, 'SIGKILL')
  await once(service.child, 'exit')
  assert.equal((await muster(service, 'ping')).code, 1)
  const next = await startService(t, { env: { REDIS_URL: url }, runDir: service.runDir })
  assert.equal((await muster(next, 'ping')).stdout, 'pong\n')
})

test('muster reload shows its progress and names the reason of a failure', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const service = await startService(t, { env: { REDIS_URL: url, APP: deploys.app, CANARY_TIME: '0', ...TOKENS } })
  deploys.deploy('2.0.0', "if (app.worker.slot === 2) throw new Error('no third')")
  const good = await muster(service, 'reload')
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /^outcome +done\ngeneration +2\n/)
  for (const slot of [0, 1]) {
    assert.match(
      good.stderr,
      new RegExp(`^\\[${slot + 1}/2\\] slot ${slot}, pid \\d+: ready after [\\d.]+ m?s$`, 'm'),
      good.stderr
    )
    assert.match(good.stderr, new RegExp(`^\\[${slot + 1}/2\\] slot ${slot}, pid \\d+: exited`, 'm'), good.stderr)
  }

  deploys.deploy('3.0.0', "throw new Error('not this one')")
  const [bad, other] = await Promise.all([muster(service, 'reload', '--json'), overHttp(service.url, 'reload', {})])
  assert.equal(bad.code, 1)
  const answer = JSON.parse(bad.stdout) as { ok: boolean; result: { outcome: string; why: string } }
  assert.equal(answer.ok, false)
  assert.equal(answer.result.outcome, 'failed')
  assert.match(answer.result.why, /not this one/)
  assert.deepEqual([other.status, other.body.ok, other.body.result.outcome], [500, false, 'failed'])
  assert.equal(other.body.acks?.length, 2, 'both slots are served by the release before')

  const scaled = await command(service, 'scale', { workers: 3 })
  assert.deepEqual([scaled.body.ok, scaled.body.result], [false, { workers: 3 }], 'the third does not boot')
  assert.deepEqual(
    scaled.body.missing?.map(({ slot, why }) => [slot, why]),
    [[2, 'no worker serves it: boot-failure']]
  )
})

timed('a profile under load names the hot function in the format of Chrome DevTools', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('hot') }, workers: 1 })
  let busy = true
  const load = (async () => {
    while (busy) await (await fetch(`${service.url}/hot`)).arrayBuffer()
  })()
  const { body } = await command(service, 'profile', { slot: 0, seconds: 3 })
  busy = false
  await load
  interface Node {
    id: number
    hitCount: number
    callFrame: { functionName: string; url: string; scriptId: string; lineNumber: number; columnNumber: number }
    children?: number[]
  }
  const profile = JSON.parse(readFileSync(body.result.path, 'utf8')) as {
    nodes: Node[]
    startTime: number
    endTime: number
    samples: number[]
    timeDeltas: number[]
  }
  const micros = profile.endTime - profile.startTime
  assert.ok(micros > 2_900_000 && micros < 30_000_000, `${micros} µs`)
  assert.equal(profile.samples.length, profile.timeDeltas.length)
  const ids = new Set(profile.nodes.map(({ id }) => id))
  assert.ok(profile.samples.every((id) => ids.has(id)))
  assert.ok(profile.nodes.every(({ children = [] }) => children.every((id) => ids.has(id))))
  assert.equal(profile.nodes[0]?.callFrame.functionName, '(root)')
  // Of each function all samples, wherever it was called: as DevTools sums them up.
  const samples = new Map<string, number>()
  for (const { callFrame, hitCount } of profile.nodes) {
    const key = `${callFrame.functionName} ${callFrame.url}`
    if (!key.startsWith('(')) samples.set(key, (samples.get(key) ?? 0) + hitCount)
  }
  const [hottest] = [...samples].sort(([, a], [, b]) => b - a)[0]!
  assert.match(hottest, /^theHotOne file:.*fixtures\/hot\.js$/)
})
