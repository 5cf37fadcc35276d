import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { Locks } from '../../src/state/locks/locks.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { countThroughFailovers } from '../helpers/exact-failovers.ts'
import { FailoverGroup } from '../helpers/failovers.ts'
import { once } from '../helpers/http.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

test('replicas:1: a failover loses no acknowledged hit and counts none twice', (t) => countThroughFailovers(t, 1, 1))

/** Repeats an action until it is told to stop, or until the test ends. @returns a function that resolves when it has stopped */
function repeat(t: TestContext, act: () => Promise<unknown>): () => Promise<void> {
  let isStopped = false
  const run = async () => {
    while (!isStopped) {
      await act()
      await new Promise(setImmediate)
    }
  }
  const done = run()
  // Awaited by the caller, who gets its error.
  done.catch(() => {})
  const stop = () => {
    isStopped = true
    return done
  }
  cleanup(t, () => stop().catch(() => {}))
  return stop
}

/** A worker's locks, on a connection whose writes one replica confirms. */
async function openLocks(t: TestContext, url: string): Promise<Locks> {
  const log = pino({ level: 'silent' })
  const connection = new RedisConnection(url, 1000, log, { replicas: 1 })
  const draining = new AbortController()
  const locks = new Locks({ connection, log, draining: draining.signal })
  cleanup(t, async () => {
    draining.abort()
    await locks.ended(10_000)
    connection.stop()
  })
  await connection.start(async () => {})
  return locks
}

/** Callers of one lock in two workers. `fences` are those of its holders, in the order in which they held it. */
async function contend(t: TestContext, url: string) {
  const fences: number[] = []
  let holders = 0
  const hold = async ({ fence }: { fence: number }) => {
    assert.equal(holders++, 0, 'two callers hold the lock')
    fences.push(fence)
    await new Promise(setImmediate)
    holders--
  }
  const workers = [await openLocks(t, url), await openLocks(t, url)]
  const stops = workers.map(({ lock }) =>
    repeat(t, () =>
      lock('job', 3000, hold, { waitMs: 500 }).catch((error: { statusCode?: number }) =>
        assert.ok([409, 503].includes(error.statusCode!), String(error))
      )
    )
  )
  return { fences, stop: () => Promise.all(stops.map((stop) => stop())) }
}

/** Asks again while the answer is 503, which a busy machine alone can cause: Redis has to answer within REDIS_TIMEOUT. */
async function answered(port: number, path: string, headers: Record<string, string>) {
  let answer = await once(port, 'GET', path, headers)
  await until(async () => {
    if (answer.status === 503) answer = await once(port, 'GET', path, headers)
    return answer.status !== 503
  }, `an answer to ${path}`)
  return answer
}

/** Visits with one session. Each visit is answered with its number. */
async function visit(t: TestContext, port: number) {
  const visits: number[] = []
  const accept = 'application/json'
  const first = await answered(port, '/', { accept })
  const cookie = first.headers['set-cookie']!.split(';')[0]!
  const stop = repeat(t, async () => {
    const { status, body } = await once(port, 'GET', '/', { cookie, accept })
    if (status === 200) visits.push((JSON.parse(body) as { visits: number }).visits)
    else assert.equal(status, 503, body)
  })
  return { visits, stop }
}

/** Signs in and out again and again. `ended` are the cookies of the sessions whose end was acknowledged. */
function signInAndOut(t: TestContext, port: number) {
  const ended: string[] = []
  const stop = repeat(t, async () => {
    const signIn = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"ada"}' }
    const signedIn = await fetch(`http://127.0.0.1:${port}/session`, signIn)
    await signedIn.text()
    if (signedIn.status !== 200) return
    const cookie = signedIn.headers.get('set-cookie')!.split(';')[0]!
    const { status } = await once(port, 'DELETE', '/session', { cookie })
    if (status === 204) ended.push(cookie)
  })
  return { ended, stop }
}

test('replicas:1: after a failover sessions have every acknowledged visit, ended ones stay ended, and locks exclude', async (t) => {
  const group = await FailoverGroup.start(t, 1)
  const env = { REDIS_URL: group.url, REDIS_DURABILITY: 'replicas:1', REDIS_TIMEOUT: '1000' }
  const { port } = await startService(t, { env })
  const visitor = await visit(t, port)
  const member = signInAndOut(t, port)
  const contenders = await contend(t, group.url)
  const more = async (count: number) => {
    const [visits, ended, held] = [visitor.visits.length, member.ended.length, contenders.fences.length]
    const isMore = () =>
      visitor.visits.length > visits + count &&
      member.ended.length > ended + count &&
      contenders.fences.length > held + count
    await until(isMore, 'visits, ended sessions and locks', 120_000)
  }
  await more(10)
  await group.failOver()
  await more(10)
  await Promise.all([visitor.stop(), member.stop(), contenders.stop()])

  const isHigher = (number: number, i: number, all: number[]) => i === 0 || number > all[i - 1]!
  assert.ok(visitor.visits.every(isHigher), `a visit was lost: ${visitor.visits}`)
  assert.ok(contenders.fences.every(isHigher), `a fence was repeated: ${contenders.fences}`)
  for (const cookie of member.ended) {
    const { body } = await answered(port, '/session', { cookie })
    assert.equal((JSON.parse(body) as { name: unknown }).name, null, 'an ended session is back')
  }
})

test('replicas:1: without its replica the service answers 503 and stays ready, and it answers when the replica is back', async (t) => {
  const group = await FailoverGroup.start(t, 1)
  const env = { REDIS_URL: group.url, REDIS_DURABILITY: 'replicas:1', REDIS_TIMEOUT: '4000' }
  const service = await startService(t, { env })
  const hit = () => once(service.port, 'POST', '/hits')
  await until(async () => (await hit()).status === 200, 'an answer')
  const [replica] = await group.replicas()
  replica!.signal('SIGSTOP')
  const { status, headers, body } = await hit()
  assert.deepEqual([status, headers['retry-after']], [503, '1'])
  assert.equal((JSON.parse(body) as { code: string }).code, 'TOO_FEW_REPLICAS')
  assert.equal((await once(service.port, 'GET', '/readyz')).status, 200)
  await service.line(({ msg, needed }) => msg === 'too few Redis replicas confirm writes' && needed === 1)
  replica!.signal('SIGCONT')
  await until(async () => (await hit()).status === 200, 'an answer')
  await service.line(({ msg }) => msg === 'Redis replicas confirm writes again')
  const page = (await once(service.port, 'GET', '/metrics')).body
  assert.match(page, /redis_confirmations_total\{.*outcome="unconfirmed".*\} [1-9]/)
})
