import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, command } from '../helpers/admin.ts'
import { commandUntil, pidOf, slotsOf, starts, taken } from '../helpers/hosts.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import type { Service } from '../helpers/service.ts'
import { timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

test('a broadcast is acknowledged by every worker whose handlers ran, of this host or of all', async (t) => {
  const { url } = await startRedis(t)
  const [here, there] = (await starts(t, [url, url], { APP: fixture('shared') })) as [Service, Service]
  const broadcast = async (slot: number, options: object) =>
    (await (
      await fetch(`${here.url}/fail/${slot}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(options)
      })
    ).json()) as Answer

  const host = await broadcast(1, { scope: 'host', deadlineMs: 30_000 })
  assert.deepEqual(
    host.acks?.map(({ pid }) => pid),
    [pidOf(here, 0)]
  )
  assert.deepEqual(
    host.missing?.map(({ pid, why }) => [pid, why]),
    [[pidOf(here, 1), 'not today']]
  )
  const all = await broadcast(7, { scope: 'all', deadlineMs: 30_000 })
  const pids = [here, there].flatMap((service) => [...service.workers().keys()])
  assert.deepEqual(all.acks?.map(({ pid }) => pid).sort(), pids.sort())
  assert.deepEqual(all.missing, [])
})

timed('a cache is cleared on every host, and a silent worker is named', async (t) => {
  const { url } = await startRedis(t)
  const hosts = await starts(t, [url, url])
  const [here, there] = hosts as [Service, Service]
  const computed = new Map<string, Set<string>>()
  /** Until every worker of both has been asked at least once, by what it says it is. */
  const ask = async () => {
    const seen = new Map<string, string>()
    for (const [i, service] of hosts.entries()) {
      await until(async () => {
        const burst = await Promise.all([1, 2, 3].map(() => once(service.port, 'GET', '/digest/ada')))
        for (const { body } of burst) {
          const { slot, computedAt } = JSON.parse(body) as { slot: number; computedAt: string }
          seen.set(`${i}/${slot}`, computedAt)
        }
        return seen.size === 2 * (i + 1)
      }, 'both workers')
    }
    for (const [worker, at] of seen) computed.set(worker, (computed.get(worker) ?? new Set()).add(at))
    return [...computed.values()].map(({ size }) => size)
  }
  assert.deepEqual(await ask(), [1, 1, 1, 1])
  assert.deepEqual(await ask(), [1, 1, 1, 1], 'it was remembered')
  const isDone = ({ ok }: Answer) => ok
  assert.deepEqual((await commandUntil(here, 'cache-clear', {}, isDone)).result, { workers: 4, unanswered: 0 })
  assert.deepEqual(await ask(), [2, 2, 2, 2])

  const stopped = pidOf(here, 1)
  process.kill(stopped, 'SIGSTOP')
  const withAcks = (count: number) => (body: Answer) => body.acks?.length === count
  const [mine, theirs, stored] = await Promise.all([
    commandUntil(here, 'cache-clear', {}, withAcks(3)),
    commandUntil(there, 'cache-clear', {}, withAcks(3)),
    commandUntil(here, 'settings-set', { key: 'banner', value: 'all the same' }, withAcks(1))
  ])
  assert.equal((await command(here, 'cache-clear')).status, 500)
  process.kill(stopped, 'SIGCONT')
  assert.equal(stored.ok, true)
  assert.deepEqual(slotsOf(stored.missing), [1])
  assert.deepEqual([mine.ok, theirs.ok], [false, false])
  assert.deepEqual(
    mine.missing?.map(({ slot, pid, why }) => ({ slot, pid, why })),
    [{ slot: 1, pid: stopped, why: 'no answer in 2000 ms' }]
  )
  // This host cannot know which worker of the other host was silent, only that one was.
  assert.deepEqual(theirs.missing, [])
  assert.equal(theirs.result?.unanswered, 1)
  await taken(hosts, [0, 0])
  assert.deepEqual((await commandUntil(there, 'cache-clear', {}, isDone)).result, { workers: 4, unanswered: 0 })
})
