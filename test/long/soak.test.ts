import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Good } from '../helpers/good.ts'
import { Growth, type Size, sizeOf } from '../helpers/growth.ts'
import { fixture, Load, type Mix } from '../helpers/load.ts'
import { Nuisance } from '../helpers/nuisance.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { sizeOf as times } from '../helpers/sizes.ts'
import { SlowClients } from '../helpers/slow-clients.ts'
import { until } from '../helpers/until.ts'

/** Duration of the traffic. `npm run soak` takes half an hour. */
const SECONDS = times('SOAK_SECONDS', 600)
const RELOAD_EVERY_MS = 20_000
/** A busy machine that did less than this in SECONDS gets up to MORE_MS on top. */
const ENOUGH = { reloads: 4, answers: 500 }
const MORE_MS = 120_000
/** Between two requests of a client. */
const PAUSE_MS = 5

const CLIENTS: Mix = { tight: 1, fresh: 1, slow: 5, pipelined: 1, idle: 20, streams: 2 }
const NUISANCES = 5
/**
 * Allowed growth over the measured time. V8's young generation takes up to 48 MiB, and kept connections may all end up at the same
 * worker.
 */
const MAX_GROWTH: Record<'primary' | 'worker', Size> = {
  primary: { rssMiB: 48, descriptors: 20 },
  worker: { rssMiB: 48, descriptors: 50 }
}
/** Short for slow clients, so that many of them come and go. BOOT_TIMEOUT is long: a worker without CPU time is no bad release. */
const TIMEOUTS = {
  HEADERS_TIMEOUT: '3000',
  REQUEST_TIMEOUT: '4000',
  SEND_TIMEOUT: '3000',
  BOOT_TIMEOUT: '60000',
  // Longer than a starved client pauses: it would send a request on a connection that the service has closed.
  KEEP_ALIVE_TIMEOUT: '30000'
}

/** Records the size of the primary and of the current process of each slot. */
function recordSizes(service: Service, growth: Map<string, Growth>): void {
  const slots = [...service.workers()].map(([pid, { slot }]) => [`worker ${slot}`, pid] as const)
  for (const [who, pid] of [['primary', service.pid] as const, ...slots]) {
    if (!growth.has(who)) growth.set(who, new Growth(RELOAD_EVERY_MS))
    try {
      growth.get(who)?.add(sizeOf(pid), performance.now())
    } catch {
      // The process has just exited.
    }
  }
}

const descriptorsOf = (pid: number) => sizeOf(pid).descriptors

test('under good and bad traffic and reloads, no request fails and no process grows', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('much'), ...TIMEOUTS }
  const service = await startService(t, { env, keeps: ({ msg }) => msg !== 'request' })
  const before = {
    primary: descriptorsOf(service.pid),
    worker: Math.max(...[...service.workers().keys()].map(descriptorsOf))
  }
  const load = new Load(t, service.port, CLIENTS, { pauseMs: PAUSE_MS })
  const good = new Good(t, service.port, PAUSE_MS)
  const nuisance = new Nuisance(t, service.port, NUISANCES)
  const slow = new SlowClients(t, service.port)
  const growth = new Map<string, Growth>()
  const started = performance.now()
  let reloads = 0
  const over = () => {
    const ms = performance.now() - started - SECONDS * 1000
    const enough = reloads >= ENOUGH.reloads && load.answered + good.answered >= ENOUGH.answers
    return ms > MORE_MS || (ms > 0 && enough)
  }
  const looks = async () => {
    while (!over()) {
      recordSizes(service, growth)
      for (const kind of ['head', 'body', 'read'] as const) await slow.add(kind, 1)
      await sleep(500)
    }
  }
  const rolls = async () => {
    for (let next = started; !over(); next += RELOAD_EVERY_MS) {
      while (performance.now() < next && !over()) await sleep(100)
      const outcome = await service.reload()
      assert.equal(outcome.msg, 'rollout done', String(outcome.why))
      reloads++
    }
  }
  await Promise.all([looks(), rolls()])
  await Promise.all([load.stop(), good.stop(), nuisance.stop()])

  const [answers, seconds] = [load.answered + good.answered, (performance.now() - started) / 1000]
  t.diagnostic(
    `${answers} good requests, ${nuisance.sent} bad ones, ${slow.all.size} slow ones, ${reloads} reloads in ${seconds.toFixed(0)} s`
  )
  const tooLarge: string[] = []
  for (const [who, one] of growth) {
    for (const what of ['rssMiB', 'descriptors'] as const) {
      const { last, grown, minutes } = one.of(what)
      const text = `${who}: ${last.toFixed(0)} ${what}, grown by ${grown.toFixed(2)} in ${minutes.toFixed(1)} minutes`
      t.diagnostic(text)
      if (grown >= MAX_GROWTH[who === 'primary' ? who : 'worker'][what]) tooLarge.push(text)
    }
  }
  assert.deepEqual([...load.failures, ...good.failures], [])
  assert.deepEqual(tooLarge, [])
  assert.ok(reloads >= ENOUGH.reloads && answers >= ENOUGH.answers, `${reloads} reloads, ${answers} answers`)
  const nothingLeft = () =>
    descriptorsOf(service.pid) <= before.primary + 2 &&
    [...service.workers().keys()].every((pid) => descriptorsOf(pid) <= before.worker + 2)
  await until(() => slow.held === 0 && nothingLeft(), 'as few descriptors as before')
})
