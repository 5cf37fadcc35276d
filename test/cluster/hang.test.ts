import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import type { HangReport } from '../../src/primary/health/hang-report.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const TIMEOUT_MS = 2000

async function start(t: TestContext, app: string, workers = 2): Promise<Service> {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture(app), HEARTBEAT_TIMEOUT: String(TIMEOUT_MS) }
  return startService(t, { env, workers })
}

/** Time for so many heartbeats, in which the service serves. */
async function beats(service: Service, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    assert.equal((await once(service.port, 'GET', '/self')).status, 200)
  }
}

/** The replacement of a hung worker. It may be ready before the hang report is written. */
const successor = (service: Service, hang: Line) =>
  service.line(({ msg, slot, worker }) => msg === 'worker ready' && slot === hang.slot && worker !== hang.worker)

const restarts = (service: Service) => service.lines.filter(({ msg }) => msg === 'worker exited').length

test('a worker in an endless loop is replaced, and a hang report names its route and stack', async (t) => {
  const service = await start(t, 'block-loop')
  const lost = once(service.port, 'GET', '/block?secret=1').catch((error: Error) => error)
  const blocking = await service.line(({ msg }) => msg === 'blocking')
  const hang = await service.line(({ msg }) => msg === 'worker hung')
  const next = await successor(service, hang)
  const took = Number(next.time) - Number(blocking.time)
  // The last heartbeat may be up to one second old.
  t.diagnostic(`replaced ${took} ms after it blocked, with a timeout of ${TIMEOUT_MS} ms`)
  assert.ok(took < TIMEOUT_MS + 30_000, `${took} ms`)
  assert.ok((await lost) instanceof Error, 'its connection ends')

  const file = String(hang.file)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const box = JSON.parse(readFileSync(file, 'utf8')) as HangReport
  const loop = box.stack.find(({ functionName }) => functionName === 'blockForever')
  assert.match(loop?.url ?? '', /\/fixtures\/block-loop\.js$/, JSON.stringify(box))
  assert.equal(box.inFlight[0]!.route, '/block')
  assert.match(box.inFlight[0]!.id, /./)
  assert.doesNotMatch(JSON.stringify(hang), /secret/)
  assert.equal(hang.pid, service.pid, 'who logs is the primary')
  const { stdout } = await muster(service, 'status', '--json')
  const status = JSON.parse(stdout) as { result: { restarts: Record<string, number> } }
  assert.equal(status.result.restarts.hang, 1)
  assert.equal((await once(service.port, 'GET', '/livez')).status, 200)
})

test('a worker that sleeps in a system call is replaced too', async (t) => {
  const service = await start(t, 'busy')
  const lost = once(service.port, 'GET', '/sleep').catch((error: Error) => error)
  const hang = await service.line(({ msg }) => msg === 'worker hung')
  assert.match(String(hang.why), /asleep in a system call/)
  await successor(service, hang)
  await lost
})

test('a stopped worker is replaced and a busy one is not', async (t) => {
  const service = await start(t, 'busy')
  const { slot } = JSON.parse((await once(service.port, 'GET', '/work')).body) as { slot: number }
  await beats(service, 4)
  assert.equal(restarts(service), 0, 'an event loop that is busy nineteen twentieths of the time')
  const [pid] = [...service.workers()].find(([, worker]) => worker.slot !== slot)!
  process.kill(pid, 'SIGSTOP')
  const hang = await service.line(({ msg }) => msg === 'worker hung')
  assert.equal(hang.worker, pid)
  await service.line(({ msg, worker }) => msg === 'worker exited' && worker === pid)
  assert.equal(restarts(service), 1)
})

test('on an overloaded machine no worker is replaced', async (t) => {
  const service = await start(t, 'busy')
  await once(service.port, 'GET', '/work')
  const hogs = Array.from({ length: 8 }, () => spawn(process.execPath, ['-e', 'for (;;);']))
  t.after(() => {
    for (const hog of hogs) hog.kill('SIGKILL')
  })
  await beats(service, 4)
  assert.equal(restarts(service), 0)
})

test('a primary that was stopped for a while replaces no worker', async (t) => {
  const service = await start(t, 'busy')
  process.kill(service.pid, 'SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 3 * TIMEOUT_MS))
  process.kill(service.pid, 'SIGCONT')
  await service.line(({ msg }) => msg === 'primary stalled')
  await beats(service, 3)
  assert.equal(restarts(service), 0)
  assert.equal((await once(service.port, 'GET', '/self')).status, 200)
})
