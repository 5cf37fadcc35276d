import assert from 'node:assert/strict'
import { test } from 'node:test'
import { denied } from '../helpers/acl.ts'
import { once } from '../helpers/http.ts'
import { SentinelPair } from '../helpers/redis-sentinel.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'

const FAILOVER_MS = 60_000

/** One hit: its number, or undefined when it was answered 503. */
async function hit(service: Service): Promise<number | undefined> {
  const { status, body } = await once(service.port, 'POST', '/hits')
  if (status === 200) return (JSON.parse(body) as { hits: number }).hits
  assert.equal(status, 503, body)
  assert.equal((JSON.parse(body) as { code: string }).code, 'STATE_UNAVAILABLE')
  return undefined
}

test('Sentinel: the service fails over when the Redis primary is killed', async (t) => {
  const { primary, replica, sentinel } = await SentinelPair.start(t)
  // A Sentinel that is not there comes first: the next one is asked.
  const REDIS_URL = `redis+sentinel://muster:secret@127.0.0.1:1,127.0.0.1:${sentinel.port}/mymaster`
  // Shorter than a failover: some hits are to see that there is no primary.
  const service = await startService(t, { env: { REDIS_URL, REDIS_TIMEOUT: '1000' } })
  const workers = [...service.workers().keys()]

  const before: number[] = []
  for (let i = 0; i < 20; i++) before.push(...(await Promise.all([1, 2, 3].map(() => hit(service)))).map(Number))
  assert.deepEqual(
    before.sort((a, b) => a - b),
    before.map((_, i) => i + 1)
  )
  await primary.client.set('mark', '')
  assert.equal(await primary.client.wait(1, 0), 1, 'the replica has what came before the mark')

  let errors = 0
  const during: number[] = []
  const after: number[] = []
  let stopped = false
  const clients = [during, during, during].map(async (numbers) => {
    while (!stopped) {
      const number = await hit(service)
      if (number === undefined) errors++
      else numbers.push(number)
    }
  })
  await until(() => during.length > 30, 'some hits')
  const killed = performance.now()
  await primary.end('SIGKILL')
  await until(() => errors > 0, 'an error')
  const known = during.length
  await until(() => during.length > known, 'a hit on the new primary', FAILOVER_MS)
  const ms = Math.round(performance.now() - killed)
  const back = () =>
    service.lines.filter(({ msg, awayMs }) => msg === 'Redis is up' && awayMs).map(({ worker }) => worker)
  await service.until(() => new Set(back()).size === 2, 'both workers')
  stopped = true
  await Promise.all(clients)

  // What was acknowledged last may not have reached the replica: what it has is where the count goes on.
  const { hits } = JSON.parse((await once(service.port, 'GET', '/hits')).body) as { hits: number }
  assert.equal(await replica.client.get('muster:hits'), String(hits))
  const acknowledged = before.length + during.length
  t.diagnostic(`back after ${ms} ms, ${errors} answers 503; ${acknowledged} hits acknowledged, ${hits} counted`)
  assert.ok(hits >= before.length, `${hits}: what was replicated is lost`)
  assert.ok(hits <= acknowledged + errors, `${hits}: more than were asked for`)
  for (let i = 0; i < 20; i++) after.push(Number(await hit(service)))
  assert.deepEqual(
    after,
    after.map((_, i) => hits + i + 1)
  )

  assert.deepEqual([...service.workers().keys()], workers, 'no worker was replaced')
  assert.equal((await once(service.port, 'GET', '/readyz')).status, 200)

  assert.deepEqual(await denied(replica), [])

  // The old primary comes back and accepts writes until a Sentinel demotes it. No client uses it.
  await primary.run()
  assert.equal(await hit(service), hits + 21)
  assert.equal(await replica.client.get('muster:hits'), String(hits + 21))
})
