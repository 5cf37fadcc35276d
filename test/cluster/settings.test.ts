import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, command } from '../helpers/admin.ts'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const APP = fixture('shared')
const slotsOf = (workers: { slot: number }[] = []) => workers.map(({ slot }) => slot).sort()
const pidOf = (service: Service, slot: number) => [...service.workers()].find(([, worker]) => worker.slot === slot)![0]

/** What every worker answers, by its pid. */
async function ofEveryWorker<T extends { pid: number }>(service: Service, path: string): Promise<T[]> {
  const answers = new Map<number, T>()
  await until(async () => {
    const burst = await Promise.all([1, 2, 3].map(() => once(service.port, 'GET', path)))
    for (const { body } of burst) answers.set((JSON.parse(body) as T).pid, JSON.parse(body) as T)
    return [...service.workers().keys()].every((pid) => answers.has(pid))
  }, `every worker at ${path}`)
  return [...answers.values()]
}

/** Commands until it went as it should: on a busy machine a worker may take longer than the 2 s that it is given. */
async function commandUntil(
  service: Service,
  name: string,
  args: object,
  right: (body: Answer) => boolean
): Promise<Answer> {
  let body: Answer = { ok: false }
  await until(async () => {
    body = (await command(service, name, args)).body
    return right(body)
  }, name)
  return body
}

/** Sets it, and waits until every worker of that host says that it has it. */
const set = (service: Service, key: string, value: unknown) =>
  commandUntil(service, 'settings-set', { key, value }, ({ ok, missing }) => ok && missing?.length === 0)

/** Resolves when every worker of the services has taken a change, with the time of the last one's log line. */
async function taken(services: Service[], from: number[]): Promise<number> {
  const workers = services.flatMap((service, i) =>
    [...service.workers().values()].map(({ slot }) => ({ service, slot, i }))
  )
  const lines = await Promise.all(
    workers.map(({ service, slot, i }) =>
      service.line((line) => line.msg === 'a setting changed' && line.worker === slot, from[i])
    )
  )
  return Math.max(...lines.map((line) => Number(line.time)))
}

async function assertBanner(services: Service[], banner: string): Promise<void> {
  for (const service of services) {
    for (const settings of await ofEveryWorker<{ pid: number; banner: string }>(service, '/settings')) {
      assert.equal(settings.banner, banner)
    }
  }
}

/** Patient with Redis: on a machine that is busy enough, an answer may take longer than the second of the default. */
const starts = (t: TestContext, urls: string[], env: Record<string, string> = {}) =>
  Promise.all(urls.map((url) => startService(t, { env: { REDIS_URL: url, REDIS_TIMEOUT: '8000', ...env } })))

test('a setting that is changed on one of two hosts is read on every worker of both', async (t) => {
  const { url } = await startRedis(t)
  const hosts = await starts(t, [url, url], { APP })
  const times: number[] = []
  for (let round = 0; round < 6; round++) {
    const from = hosts.map(({ lines }) => lines.length)
    const asked = Date.now()
    const { result, acks } = await set(hosts[round % 2]!, 'banner', `round ${round}`)
    assert.deepEqual(result?.values, { banner: `round ${round}` })
    assert.ok((result?.version ?? 0) > round, `version ${result?.version}`)
    assert.deepEqual(slotsOf(acks), [0, 1])
    times.push((await taken(hosts, from)) - asked)
    await assertBanner(hosts, `round ${round}`)
  }
  t.diagnostic(`from the command to the last of 4 workers on 2 hosts: ${times.join(', ')} ms`)
  assert.ok(Math.max(...times) < 2000, `${times} ms`)
})

test('what was changed while Redis was cut for 5 s is there soon after it is back', async (t) => {
  const { url } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const [near, far] = (await starts(t, [url, proxy.url], { APP })) as [Service, Service]
  await set(near, 'banner', 'before')
  await taken([near, far], [0, 0])
  await proxy.refuse()
  await far.until(() => far.lines.filter(({ msg }) => msg === 'Redis is away').length === 2, 'both without Redis')
  await set(near, 'banner', 'meanwhile')
  const refused = await command(far, 'settings-set', { key: 'banner', value: 'x' })
  assert.equal(refused.status, 503)
  assert.equal(refused.body.message, 'The shared state is not available at the moment')
  await assertBanner([far], 'before')
  await sleep(5000)

  const from = far.lines.length
  const back = Date.now()
  await proxy.accept()
  const ms = (await taken([far], [from])) - back
  t.diagnostic(`after Redis was back: ${ms} ms`)
  await assertBanner([near, far], 'meanwhile')
  assert.ok(ms < 4000, `${ms} ms`)
})

test('a worker born later has the settings before it is ready; so has a service that starts anew', async (t) => {
  const { url } = await startRedis(t)
  const [first] = (await starts(t, [url], { APP })) as [Service]
  await set(first, 'banner', 'kept')
  await command(first, 'scale', { workers: 3 })
  await first.line((line) => line.msg === 'worker is ready' && line.slot === 2)
  /** What it was when the routes of that worker were loaded, which is before it is ready. */
  const bannerOf = async (service: Service, slot: number) => {
    const { settings } = await service.line((line) => line.msg === 'the routes are loaded' && line.worker === slot)
    return (settings as { banner: string }).banner
  }
  assert.equal(await bannerOf(first, 0), '')
  assert.equal(await bannerOf(first, 2), 'kept')
  await first.stop()
  const [second] = (await starts(t, [url], { APP })) as [Service]
  assert.equal(await bannerOf(second, 0), 'kept')
})

test('a broadcast is acknowledged by every worker whose handlers ran, of this host or of all', async (t) => {
  const { url } = await startRedis(t)
  const [here, there] = (await starts(t, [url, url], { APP })) as [Service, Service]
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

test('caches are cleared on every worker of every host; a worker that does not answer is named, and it is not done', async (t) => {
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
  // Of the other host nobody knows who was silent, but that one was.
  assert.deepEqual(theirs.missing, [])
  assert.equal(theirs.result?.unanswered, 1)
  await taken(hosts, [0, 0])
  assert.deepEqual((await commandUntil(there, 'cache-clear', {}, isDone)).result, { workers: 4, unanswered: 0 })
})

test('maintenance begins and ends without the loss of a connection', async (t) => {
  const { url } = await startRedis(t)
  const [service] = (await starts(t, [url])) as [Service]
  const connections = await Promise.all(Array.from({ length: 20 }, () => Connection.open(service.port)))
  const seen = new Set<string>()
  let going = true
  /** A client that asks again and again on its one connection; it rejects when that ends. */
  const clients = connections.map(async (connection) => {
    while (going) {
      const { status, body, headers } = await connection.request('GET', '/hits')
      if (status === 503) assert.equal(headers['retry-after'], '30')
      seen.add(status === 200 ? 'hits' : (JSON.parse(body) as { code: string }).code)
    }
  })
  for (let round = 0; round < 5; round++) {
    for (const [value, status] of [
      [true, 503],
      [false, 200]
    ] as const) {
      await set(service, 'maintenance', value)
      const answers = await Promise.all(Array.from({ length: 4 }, () => once(service.port, 'GET', '/hits')))
      assert.deepEqual(new Set(answers.map((one) => one.status)), new Set([status]), 'a worker has not heard')
      assert.equal((await once(service.port, 'GET', '/readyz')).status, 200)
    }
  }
  going = false
  await Promise.all(clients)
  assert.deepEqual([...seen].sort(), ['MAINTENANCE', 'hits'])
  for (const connection of connections) {
    assert.equal(connection.ended, false)
    connection.close()
  }
})

test('the log level changes at run time, and holds for workers born later', async (t) => {
  const { url } = await startRedis(t)
  const [service] = (await starts(t, [url])) as [Service]
  /** Of every worker: does it log what it logs at debug only? */
  const debugLines = async (workers: number) => {
    const from = service.lines.length
    const of = (path: string, line: Line) => line.msg === 'request' && line.url === path
    const slots = (path: string) =>
      new Set(service.lines.slice(from).flatMap((line) => (of(path, line) ? line.worker! : [])))
    await until(async () => {
      const connections = await Promise.all([1, 2, 3].map(() => Connection.open(service.port)))
      for (const connection of connections) {
        await connection.request('GET', '/livez')
        await connection.request('GET', '/hits')
        connection.close()
      }
      return slots('/hits').size === workers
    }, `lines of ${workers} workers`)
    return slots('/livez').size
  }
  assert.equal(await debugLines(2), 0)
  const { code, stdout } = await muster(service, 'log-level', 'debug')
  assert.equal(code, 0)
  assert.match(stdout, /^setting +value\nlogLevel +debug\n/)
  assert.equal(await debugLines(2), 2)
  await command(service, 'scale', { workers: 3 })
  await service.line((line) => line.msg === 'worker is ready' && line.slot === 2)
  assert.equal(await debugLines(3), 3)
  await set(service, 'logLevel', null)
  assert.equal(await debugLines(3), 0)
})

test('muster sets and gets settings, and says what it cannot do', async (t) => {
  const { url } = await startRedis(t)
  const [service] = (await starts(t, [url])) as [Service]
  const set = await muster(service, 'settings', 'set', 'banner', '1984')
  assert.deepEqual({ code: set.code, stderr: set.stderr }, { code: 0, stderr: '' })
  assert.equal((await muster(service, 'settings', 'set', 'maintenance', 'true')).code, 0)
  assert.equal(
    (await muster(service, 'settings', 'get')).stdout,
    'setting      value\nmaintenance  true\nbanner       1984\nlogLevel     null\n'
  )
  const one = JSON.parse((await muster(service, 'settings', 'get', 'banner', '--json')).stdout)
  assert.deepEqual(one.result, { version: 2, values: { banner: '1984' } })
  const failures: [args: string[], code: number, stderr: RegExp][] = [
    [['settings', 'get', 'baner'], 1, /no setting "baner"; there are maintenance, banner, logLevel/],
    [['settings', 'set', 'maintenance', 'maybe'], 1, /"maintenance" must be boolean/],
    [['settings', 'set', 'banner'], 1, /a value is missing/],
    [['settings', 'set'], 1, /key: must be the name of a setting/],
    [['log-level'], 1, /must be one of trace.*not nothing/],
    [['log-level', 'loud'], 1, /must be one of trace/],
    [['settings'], 2, /^Usage/],
    [['settings', 'drop', 'banner'], 2, /^Usage/]
  ]
  for (const [args, code, stderr] of failures) {
    const answer = await muster(service, ...args)
    assert.equal(answer.code, code, args.join(' '))
    assert.match(answer.stderr, stderr)
  }
  const cleared = await muster(service, 'cache-clear')
  assert.deepEqual(
    { code: cleared.code, stdout: cleared.stdout },
    { code: 0, stdout: 'workers  unanswered\n2        0\n' }
  )
})

test('what workers have to do is refused while none is ready', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('never-ready') }, wait: false })
  await service.line((line) => line.msg === 'worker starts')
  for (const name of ['settings-get', 'cache-clear']) {
    const { status, body } = await command(service, name)
    assert.equal(status, 503)
    assert.deepEqual([body.ok, body.message], [false, 'no worker is ready to do it'])
  }
})
