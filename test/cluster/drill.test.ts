import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { command } from '../helpers/admin.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { explain, promisesThat, runDrill } from '../helpers/drill.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, muster, type Service, startService, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const stateOf = (pid: number) => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]

/** Starts a drill, and waits until it says that a fault begins. */
async function startDrill(t: Parameters<typeof cleanup>[0], service: Service, fault: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CLI, 'drill', '--faults', fault], {
    env: { ...cleanEnvironment(), RUN_DIR: service.runDir },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  cleanup(t, () => child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stderr! })) if (line === `muster: ${fault}`) break
  child.stderr!.resume()
  return child
}

test('a drill reports the promises that its faults try, as JSON and as a web page, and changes nothing', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url } })
  const html = join(temporaryFolder(t), 'drill.html')
  const before = (await command(service, 'status')).body.result
  const result = await runDrill(service, '--faults', 'kill,redis-stop,reload', '--html', html)
  assert.deepEqual(promisesThat('broken', result), [], explain(result))
  assert.deepEqual(promisesThat('held', result), [1, 2, 3, 5, 6], explain(result))
  assert.equal(result.promises[6]!.text, 'redis-stop: the Redis of REDIS_URL is not touched')
  assert.equal(result.code, 0)
  const after = (await command(service, 'status')).body.result
  assert.deepEqual([after.pid, after.desired, after.state], [before.pid, before.desired, 'running'])
  assert.equal(after.restarts.crash, 1)
  assert.match(readFileSync(html, 'utf8'), /<td>1\. A reload loses nothing<\/td><td class="held">held<\/td>/)
})

test('a drill that is interrupted, or killed, leaves no process stopped', async (t) => {
  const service = await startService(t, { env: { HEARTBEAT_TIMEOUT: '0' } })
  const redisPid = Number((await service.line(({ msg }) => msg === 'embedded Redis ready')).redisPid)
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const child = await startDrill(t, service, 'redis-stop')
    await until(() => stateOf(redisPid) === 'T', 'a stopped Redis')
    child.kill(signal)
    const [code] = await once(child, 'exit')
    assert.equal(code, signal === 'SIGINT' ? 1 : null)
    await until(() => stateOf(redisPid) !== 'T', 'a Redis that runs')
  }
  const stopped = await startDrill(t, service, 'stop')
  const pids = [...service.workers().keys()]
  await until(() => pids.some((pid) => stateOf(pid) === 'T'), 'a stopped worker')
  stopped.kill('SIGTERM')
  assert.deepEqual(await once(stopped, 'exit'), [1, null])
  assert.deepEqual(
    pids.map(stateOf).filter((state) => state === 'T'),
    []
  )
})

test('a service that other machines reach is drilled with --force only', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, HOST: '0.0.0.0' } })
  const { code, stdout, stderr } = await muster(service, 'drill')
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /^muster: the service listens on 0\.0\.0\.0, where other machines reach it/)
  assert.deepEqual(promisesThat('held', await runDrill(service, '--force', '--faults', 'stop')), [2, 3, 6])
})

test('a drill of nothing that runs says so, and how to start a service', async (t) => {
  const { code, stderr } = await muster({ runDir: temporaryFolder(t) }, 'drill')
  assert.equal(code, 1)
  assert.match(stderr, /no service runs on .*start one with `muster start`/)
})
