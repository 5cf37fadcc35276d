import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Good } from '../helpers/good.ts'
import { fixture, Load } from '../helpers/load.ts'
import { Nuisance } from '../helpers/nuisance.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { SlowClients } from '../helpers/slow-clients.ts'
import { until } from '../helpers/until.ts'

/** `npm run soak` has more of them. */
const SECONDS = Number(process.env.SOAK_SECONDS ?? 15)
const isLong = SECONDS >= 120
const RELOAD_EVERY_MS = isLong ? 20_000 : 4000
/** Without the first third, which is warming up. */
const MEASURED_MINUTES = (SECONDS / 60) * (2 / 3)
/**
 * What the growth a minute may add up to, so that which slow clients a process had when does not count for much. A short
 * soak is all warming up: that nothing is left counts there.
 */
const MOST_GROWTH = isLong
  ? { rssMiB: 20 / MEASURED_MINUTES, descriptors: 20 / MEASURED_MINUTES }
  : { rssMiB: 250, descriptors: Number.POSITIVE_INFINITY }

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length
const rssMiB = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024

interface Sample {
  minute: number
  rssMiB: number
  descriptors: number
}

/** Least squares, over what came after the first third. */
function slope(samples: Sample[], of: 'rssMiB' | 'descriptors'): number {
  const some = samples.slice(Math.floor(samples.length / 3))
  const mean = (value: (sample: Sample) => number) => some.reduce((sum, one) => sum + value(one), 0) / some.length
  const [x, y] = [mean((one) => one.minute), mean((one) => one[of])]
  return mean((one) => (one.minute - x) * (one[of] - y)) / mean((one) => (one.minute - x) ** 2)
}

/** Of the primary and of each slot, whichever process has it. */
function sample(service: Service, started: number, samples: Map<string, Sample[]>): void {
  const minute = (performance.now() - started) / 60_000
  const slots = [...service.workers()].map(([pid, { slot }]) => [`worker ${slot}`, pid] as const)
  for (const [who, pid] of new Map([['primary', service.pid], ...slots])) {
    try {
      const known = samples.get(who) ?? samples.set(who, []).get(who)!
      known.push({ minute, rssMiB: rssMiB(pid), descriptors: descriptors(pid) })
    } catch {
      // It has just left.
    }
  }
}

test('good and bad traffic and one reload after the other: nothing fails, nothing grows', async (t) => {
  const { url } = await startRedis(t)
  const env = {
    REDIS_URL: url,
    APP: fixture('much'),
    HEADERS_TIMEOUT: '2000',
    REQUEST_TIMEOUT: '3000',
    SEND_TIMEOUT: '2000'
  }
  const service = await startService(t, { env })
  const before = {
    primary: descriptors(service.pid),
    worker: Math.max(...[...service.workers().keys()].map(descriptors))
  }
  const load = new Load(t, service.port, { tight: 1, fresh: 1, slow: 5, pipelined: 1, idle: 20, streams: 2 })
  const good = new Good(t, service.port)
  const nuisance = new Nuisance(t, service.port, 5)
  const slow = new SlowClients(t, service.port)
  const samples = new Map<string, Sample[]>()
  const started = performance.now()
  let reloads = 0
  let last = started
  while (performance.now() - started < SECONDS * 1000) {
    await sleep(500)
    sample(service, started, samples)
    for (const kind of ['head', 'body', 'read'] as const) await slow.add(kind, 1)
    if (performance.now() - last < RELOAD_EVERY_MS) continue
    last = performance.now()
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rolling restart done', String(outcome.why))
    reloads++
  }
  await Promise.all([load.stop(), good.stop(), nuisance.stop()])

  t.diagnostic(
    `${load.answered + good.answered} good requests, ${nuisance.sent} bad ones, ${slow.all.size} slow ones, ${reloads} reloads`
  )
  for (const [who, some] of samples) {
    const growth = { rssMiB: slope(some, 'rssMiB'), descriptors: slope(some, 'descriptors') }
    const { rssMiB: rss } = some.at(-1)!
    t.diagnostic(
      `${who}: ${rss.toFixed(0)} MiB, growth a minute: ${growth.rssMiB.toFixed(2)} MiB, ${growth.descriptors.toFixed(2)} descriptors`
    )
    assert.ok(growth.rssMiB < MOST_GROWTH.rssMiB, `${who} gains ${growth.rssMiB} MiB a minute`)
    assert.ok(growth.descriptors < MOST_GROWTH.descriptors, `${who} gains ${growth.descriptors} descriptors a minute`)
  }
  assert.deepEqual([...load.failures, ...good.failures], [])
  assert.ok(reloads >= 2 && load.answered > 100)
  const nothingLeft = () =>
    descriptors(service.pid) <= before.primary + 2 &&
    [...service.workers().keys()].every((pid) => descriptors(pid) <= before.worker + 2)
  await until(() => slow.held === 0 && nothingLeft(), 'as few descriptors as before')
})
