import assert from 'node:assert/strict'
import { test } from 'node:test'
import { denied } from '../helpers/acl.ts'
import { once } from '../helpers/http.ts'
import { SentinelPair } from '../helpers/redis-sentinel.ts'
import type { RedisServer } from '../helpers/redis-server.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const FAILOVER_MS = 60_000
const REDIS_STATE = /^Redis is (up|away|still away)$/

/** One hit: its number, or undefined when it was answered 503. */
async function hit(service: Service): Promise<number | undefined> {
  const { status, body } = await once(service.port, 'POST', '/hits')
  if (status === 200) return (JSON.parse(body) as { hits: number }).hits
  assert.equal(status, 503, body)
  assert.equal((JSON.parse(body) as { code: string }).code, 'STATE_UNAVAILABLE')
  return undefined
}

/** Clients hit until each has 20 numbers. On a busy machine some hits get 503, because Redis does not answer within REDIS_TIMEOUT. */
async function hitAll(service: Service, clients: number) {
  const numbers: number[] = []
  let refused = 0
  const run = async () => {
    let left = 20
    while (left > 0) {
      const number = await hit(service)
      if (number === undefined) refused++
      else {
        numbers.push(number)
        left--
      }
    }
  }
  await Promise.all(Array.from({ length: clients }, run))
  return { numbers, refused }
}

/** Without refused hits, the numbers are exactly those that follow `from`. A refused hit may have been counted, and then leaves a gap. */
function assertExact(from: number, { numbers, refused }: { numbers: number[]; refused: number }): void {
  const text = `${numbers} after ${from}, ${refused} refused`
  assert.equal(new Set(numbers).size, numbers.length, `a number was given twice: ${text}`)
  assert.ok(Math.min(...numbers) > from, `a number was given before: ${text}`)
  assert.ok(Math.max(...numbers) <= from + numbers.length + refused, `a hit was counted twice: ${text}`)
}

/** Resolves with the count, which the service and the server agree on. */
async function counted(service: Service, { client }: RedisServer): Promise<number> {
  let hits = 0
  await until(async () => {
    const { status, body } = await once(service.port, 'GET', '/hits')
    hits = status === 200 ? (JSON.parse(body) as { hits: number }).hits : Number.NaN
    return (await client.get('muster:hits')) === String(hits)
  }, 'a count on which the service and the new primary agree')
  return hits
}

test('Sentinel: the service fails over when the Redis primary is killed', async (t) => {
  const { primary, replica, sentinel } = await SentinelPair.start(t)
  // A Sentinel that is not there comes first: the next one is asked.
  const REDIS_URL = `redis+sentinel://muster:secret@127.0.0.1:1,127.0.0.1:${sentinel.port}/mymaster`
  // Shorter than a failover: some hits are to see that there is no primary.
  const service = await startService(t, { env: { REDIS_URL, REDIS_TIMEOUT: '1000' } })
  const workers = [...service.workers().keys()]

  const before = await hitAll(service, 3)
  assertExact(0, before)
  await primary.client.set('mark', '')
  assert.equal(await primary.client.wait(1, 0), 1, 'the replica has what came before the mark')

  let errors = 0
  const during: number[] = []
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
  const died = Date.now()
  const refused = errors
  await until(() => errors > refused, 'an error')
  const known = during.length
  await until(() => during.length > known, 'a hit on the new primary', FAILOVER_MS)
  const ms = Math.round(performance.now() - killed)
  // A busy machine alone may take Redis away from a worker for a moment, so only what follows the end of the primary counts.
  const isBack = (pid: number) => {
    const last = service.lines.findLast((line) => line.pid === pid && REDIS_STATE.test(line.msg))
    return last?.msg === 'Redis is up' && (last.time as number) >= died
  }
  await service.until(() => workers.every(isBack), 'both workers')
  stopped = true
  await Promise.all(clients)

  // What was acknowledged last may not have reached the replica: what it has is where the count goes on.
  const hits = await counted(service, replica)
  const acknowledged = before.numbers.length + during.length
  t.diagnostic(`back after ${ms} ms, ${errors} answers 503; ${acknowledged} hits acknowledged, ${hits} counted`)
  assert.ok(hits >= before.numbers.length, `${hits}: what was replicated is lost`)
  assert.ok(hits <= acknowledged + errors + before.refused, `${hits}: more than were asked for`)
  const after = await hitAll(service, 1)
  assertExact(hits, after)
  assert.deepEqual(
    after.numbers,
    after.numbers.toSorted((a, b) => a - b)
  )

  assert.deepEqual([...service.workers().keys()], workers, 'no worker was replaced')
  await until(async () => (await once(service.port, 'GET', '/readyz')).status === 200, 'a ready service')

  assert.deepEqual(await denied(replica), [])

  // The old primary comes back and accepts writes until a Sentinel demotes it. No client uses it.
  await primary.run()
  const reached = await counted(service, replica)
  assertExact(reached, await hitAll(service, 1))
  assert.ok((await counted(service, replica)) >= reached + 20)
})
