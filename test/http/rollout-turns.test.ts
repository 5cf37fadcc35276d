import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RedisProxy } from '../helpers/proxy.ts'
import { startHosts, type TestHost, TIMES } from '../helpers/turns.ts'
import { until } from '../helpers/until.ts'

const rolls = (host: TestHost) => until(() => host.isRolling, 'a rollout')
const waits = (host: TestHost) => until(() => host.turns.waits, 'a host that waits')
const NO_STALLS = { ...TIMES, leaseMs: 60_000 }

test('hosts roll out one after another, in the order in which they asked, and say what they wait for', async (t) => {
  const { open } = await startHosts(t)
  const [a, b, c] = [await open('web-1'), await open('web-2'), await open('web-3')]
  const first = a.turns.reload(false, {}, false)
  await rolls(a)
  const second = b.turns.reload(false, {}, false)
  await waits(b)
  const third = c.turns.reload(false, {}, false)
  await waits(c)
  await until(
    () => /web-1-1 rolls out release 1\.0\.0-aa, and 1 more host is ahead/.test(c.turns.waits!.why),
    'the queue'
  )
  a.end('done')
  assert.equal((await first).outcome, 'done')
  await rolls(b)
  assert.equal(c.isRolling, false)
  await until(() => c.turns.waits?.why === 'web-2-1 rolls out release 1.0.0-aa', 'the next holder')
  b.end('done')
  await rolls(c)
  c.end('done')
  assert.deepEqual([(await second).outcome, (await third).outcome], ['done', 'done'])
})

test('a release that fails on one host is refused by the others, until it is forced, or another release comes', async (t) => {
  const { open } = await startHosts(t)
  const [a, b, c] = [await open('web-1'), await open('web-2'), await open('web-3')]
  const failing = a.turns.reload(false, {}, false)
  await rolls(a)
  const refused = [b.turns.reload(false, {}, false), c.turns.reload(true, {}, false)]
  a.end('failed', 'worker 0 crashed')
  assert.equal((await failing).outcome, 'failed')
  for (const outcome of await Promise.all(refused)) {
    assert.equal(outcome.outcome, 'refused')
    assert.match(
      outcome.why!,
      /^release 1\.0\.0-aa failed on web-1-1 at \S+ \(worker 0 crashed\): deploy another release/
    )
  }
  assert.equal(b.journal.at(-1)!.event, 'reload refused')
  c.release = '1.0.1-bb'
  const other = c.turns.reload(false, {}, false)
  await rolls(c)
  c.end('failed', 'it crashed')
  assert.equal((await other).outcome, 'failed')
  b.release = '1.0.1-bb'
  const forced = b.turns.reload(false, {}, true)
  await rolls(b)
  b.end('done')
  assert.equal((await forced).outcome, 'done')
  const again = c.turns.reload(false, {}, false)
  await rolls(c)
  c.end('done')
  assert.equal((await again).outcome, 'done')
})

test('a reload that waits is joined; one in progress is joined by a command, and followed after a signal', async (t) => {
  const { open } = await startHosts(t)
  const [a, b] = [await open('web-1'), await open('web-2')]
  const first = a.turns.reload(false, {}, false)
  await rolls(a)
  const waiting = b.turns.reload(false, {}, false)
  await waits(b)
  const joined = b.turns.reload(false, {}, false)
  a.end('done')
  await rolls(b)
  const command = b.turns.reload(true, {}, false)
  const signal = b.turns.reload(false, {}, false)
  const signalAgain = b.turns.reload(false, {}, false)
  b.end('done')
  assert.deepEqual(await Promise.all([first, waiting, joined, command].map(async (one) => (await one).joined)), [
    undefined,
    undefined,
    true,
    true
  ])
  await rolls(b)
  b.end('failed', 'it crashed')
  assert.deepEqual([(await signal).outcome, (await signalAgain).outcome], ['failed', 'failed'])
  assert.equal(b.turns.waits, undefined)
})

test('a host that loses its lease fails its rollout; when Redis is back, its release is no longer refused', async (t) => {
  const { url, open } = await startHosts(t)
  const proxy = await RedisProxy.start(t, url)
  const [a, b] = [await open('web-1', proxy.url), await open('web-2')]
  const partitioned = a.turns.reload(false, {}, false)
  await rolls(a)
  const waiting = b.turns.reload(false, {}, false)
  await waits(b)
  await proxy.refuse()
  const lost = await partitioned
  assert.equal(lost.outcome, 'failed')
  assert.match(lost.why!, /^the rollout lease was lost: Redis did not renew it in 5400 ms$/)
  const refused = await waiting
  assert.equal(refused.outcome, 'refused')
  assert.match(refused.why!, /^web-1-1 began to roll out release 1\.0\.0-aa at \S+ and has not reported the end/)
  await proxy.accept()
  let last: string | undefined
  await until(async () => {
    const answer = await b.ask('rollout-take', { token: 'look', ticket: 0, ttlMs: 1000 })
    last = answer.last?.record.state
    return last === 'ended'
  }, 'the record of the end')
  await b.ask('rollout-release', { token: 'look' })
  const healed = b.turns.reload(false, {}, false)
  await rolls(b)
  b.end('done')
  assert.equal((await healed).outcome, 'done')
})

test('a host that was paused longer than its lease cannot overwrite what another host recorded since', async (t) => {
  const { open } = await startHosts(t)
  const [a, b] = [await open('web-1'), await open('web-2')]
  const record = { state: 'rolling', release: '1.0.0-aa', host: 'web-1', id: 'web-1-1' } as const
  const { fence } = await a.ask('rollout-take', { token: 'a', ticket: 0, ttlMs: 100 })
  assert.equal(await a.ask('rollout-record', { record, fence }), true)
  b.release = '1.0.1-bb'
  const rolling = b.turns.reload(false, {}, false)
  await rolls(b)
  assert.equal(await a.ask('rollout-record', { record: { ...record, state: 'done' }, fence }), false)
  assert.equal(await a.ask('rollout-renew', { token: 'a' }), false)
  b.end('done')
  assert.equal((await rolling).outcome, 'done')
})

test('a reload while Redis is away waits, then is refused; a forced one goes on without a lease', async (t) => {
  const { url, open } = await startHosts(t)
  const proxy = await RedisProxy.start(t, url)
  const a = await open('web-1', proxy.url, NO_STALLS)
  await proxy.refuse()
  const refused = await a.turns.reload(false, {}, false)
  assert.equal(refused.outcome, 'refused')
  assert.match(
    refused.why!,
    /^Redis is away, so whose turn it is cannot be known: try again, or `muster reload --force`$/
  )
  assert.deepEqual(a.journal.map(({ event, why }) => [event, why]).slice(0, 1), [['reload waits', 'Redis is away']])
  const forced = a.turns.reload(false, {}, true)
  await rolls(a)
  a.end('done')
  assert.equal((await forced).outcome, 'done')
  assert.equal(
    a.journal.some(({ event }) => event === 'reload without a lease'),
    true
  )
})

test('a reload that waits while Redis is away for a moment keeps waiting, and gets its turn', async (t) => {
  const { url, open } = await startHosts(t)
  const proxy = await RedisProxy.start(t, url)
  const a = await open('web-1', url, NO_STALLS)
  const b = await open('web-2', proxy.url, { ...NO_STALLS, maxAwayMs: 60_000 })
  const first = a.turns.reload(false, {}, false)
  await rolls(a)
  const second = b.turns.reload(false, {}, false)
  await waits(b)
  await proxy.refuse()
  await until(() => b.turns.waits?.why === 'Redis is away', 'a wait for Redis')
  await proxy.accept()
  a.end('done')
  await first
  await rolls(b)
  b.end('done')
  assert.equal((await second).outcome, 'done')
})

test('a service that stops while its reload waits ends the reload as stopped', async (t) => {
  const { open } = await startHosts(t)
  const [a, b] = [await open('web-1'), await open('web-2')]
  void a.turns.reload(false, {}, false)
  await rolls(a)
  const waiting = b.turns.reload(false, {}, false)
  await waits(b)
  b.isStopping = true
  const { outcome, why } = await waiting
  assert.deepEqual({ outcome, why }, { outcome: 'stopped', why: 'the service stops' })
})

test('a rollout that waits for an operator answers its callers, and keeps its turn until it ends', async (t) => {
  const { open } = await startHosts(t)
  const [a, b] = [await open('web-1'), await open('web-2')]
  const held = a.turns.reload(false, {}, false)
  await rolls(a)
  const waiting = b.turns.reload(false, {}, false)
  await waits(b)
  a.hold({ outcome: 'held', generation: 2, durationMs: 1 })
  assert.equal((await held).outcome, 'held')
  assert.equal(b.isRolling, false)
  a.end('failed', 'an operator rolled it back')
  assert.match((await waiting).why!, /failed on web-1-1 .* \(an operator rolled it back\)/)
})
