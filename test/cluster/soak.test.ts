import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Good } from '../helpers/good.ts'
import { Growth, type Size, sizeOf } from '../helpers/growth.ts'
import { fixture, Load, type Mix } from '../helpers/load.ts'
import { Nuisance } from '../helpers/nuisance.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { SlowClients } from '../helpers/slow-clients.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'

/** `npm run soak` has half an hour of them. */
const SECONDS = Number(process.env.SOAK_SECONDS ?? 120)
const RELOAD_EVERY_MS = 20_000
/** Where the machine is so busy that less than this was done, it goes on, for two minutes more at most. */
const ENOUGH = { reloads: 4, answers: 500 }
const MORE_MS = 120_000
/** Between two requests of a client: beside other tests it leaves them room. */
const PAUSE_MS = SECONDS > 120 ? 5 : 50

const CLIENTS: Mix = { tight: 1, fresh: 1, slow: 5, pipelined: 1, idle: 20, streams: 2 }
const NUISANCES = 5
/**
 * What the growth over the measured time may be. V8's young generation is 48 MiB at most, of which it has as many as it
 * likes. Clients that keep their connection may have it at one worker or at another.
 */
const MOST: Record<'primary' | 'worker', Size> = {
  primary: { rssMiB: 48, descriptors: 20 },
  worker: { rssMiB: 48, descriptors: 50 }
}
/** Those of slow clients are short, so that there are many of them; a worker that gets no CPU is no bad release. */
const TIMEOUTS = {
  HEADERS_TIMEOUT: '3000',
  REQUEST_TIMEOUT: '4000',
  SEND_TIMEOUT: '3000',
  BOOT_TIMEOUT: '60000',
  // Clients that get no CPU for longer would ask on connections that have ended in order.
  KEEP_ALIVE_TIMEOUT: '30000'
}

/** Of the primary and of each slot, whichever process has it. */
function look(service: Service, growth: Map<string, Growth>): void {
  const slots = [...service.workers()].map(([pid, { slot }]) => [`worker ${slot}`, pid] as const)
  for (const [who, pid] of [['primary', service.pid] as const, ...slots]) {
    if (!growth.has(who)) growth.set(who, new Growth(RELOAD_EVERY_MS))
    try {
      growth.get(who)?.add(sizeOf(pid), performance.now())
    } catch {
      // It has just left.
    }
  }
}

const descriptorsOf = (pid: number) => sizeOf(pid).descriptors

test('good and bad traffic and one reload after the other: nothing fails, nothing grows', async (t) => {
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
      look(service, growth)
      for (const kind of ['head', 'body', 'read'] as const) await slow.add(kind, 1)
      await sleep(500)
    }
  }
  const rolls = async () => {
    for (let next = started; !over(); next += RELOAD_EVERY_MS) {
      while (performance.now() < next && !over()) await sleep(100)
      const outcome = await service.reload()
      assert.equal(outcome.msg, 'rolling restart done', String(outcome.why))
      reloads++
    }
  }
  await Promise.all([looks(), rolls()])
  await Promise.all([load.stop(), good.stop(), nuisance.stop()])

  const [answers, seconds] = [load.answered + good.answered, (performance.now() - started) / 1000]
  t.diagnostic(
    `${answers} good requests, ${nuisance.sent} bad ones, ${slow.all.size} slow ones, ${reloads} reloads in ${seconds.toFixed(0)} s`
  )
  const tooMuch: string[] = []
  for (const [who, one] of growth) {
    for (const what of ['rssMiB', 'descriptors'] as const) {
      const { last, grown, minutes } = one.of(what)
      const text = `${who}: ${last.toFixed(0)} ${what}, grown by ${grown.toFixed(2)} in ${minutes.toFixed(1)} minutes`
      t.diagnostic(text)
      if (grown >= MOST[who === 'primary' ? who : 'worker'][what]) tooMuch.push(text)
    }
  }
  assert.deepEqual([...load.failures, ...good.failures], [])
  assert.deepEqual(tooMuch, [])
  assert.ok(reloads >= ENOUGH.reloads && answers >= ENOUGH.answers, `${reloads} reloads, ${answers} answers`)
  const nothingLeft = () =>
    descriptorsOf(service.pid) <= before.primary + 2 &&
    [...service.workers().keys()].every((pid) => descriptorsOf(pid) <= before.worker + 2)
  await until(() => slow.held === 0 && nothingLeft(), 'as few descriptors as before')
})
