import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from '../helpers/admin.ts'
import { commandUntil, slotsOf, starts, taken } from '../helpers/hosts.ts'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import { cpuWaitMs, timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const APP = fixture('shared')

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

/** Sets it, and waits until every worker of that host says that it has it. */
const set = (service: Service, key: string, value: unknown) =>
  commandUntil(service, 'settings-set', { key, value }, ({ ok, missing }) => ok && missing?.length === 0)

async function assertBanner(services: Service[], banner: string): Promise<void> {
  for (const service of services) {
    for (const settings of await ofEveryWorker<{ pid: number; banner: string }>(service, '/settings')) {
      assert.equal(settings.banner, banner)
    }
  }
}

timed('a setting changed on one host is read by every worker of both hosts', async (t) => {
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

timed('changes made while Redis was away arrive soon after it is back', async (t) => {
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
  const waited = cpuWaitMs()
  const back = Date.now()
  await proxy.accept()
  const ms = (await taken([far], [from])) - back - (cpuWaitMs() - waited)
  t.diagnostic(`after Redis was back: ${Math.round(ms)} ms`)
  await assertBanner([near, far], 'meanwhile')
  assert.ok(ms < 4000, `${ms} ms`)
})

test('a new worker and a restarted service have the settings before they are ready', async (t) => {
  const { url } = await startRedis(t)
  const [first] = (await starts(t, [url], { APP })) as [Service]
  await set(first, 'banner', 'kept')
  await command(first, 'scale', { workers: 3 })
  await first.line((line) => line.msg === 'worker ready' && line.slot === 2)
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

test('maintenance starts and ends without closing a connection', async (t) => {
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

test('the log level changes at run time, for new workers too', async (t) => {
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
  await service.line((line) => line.msg === 'worker ready' && line.slot === 2)
  assert.equal(await debugLines(3), 3)
  await set(service, 'logLevel', null)
  assert.equal(await debugLines(3), 0)
})

test('muster sets and gets settings, and explains refusals', async (t) => {
  const { url } = await startRedis(t)
  const [service] = (await starts(t, [url])) as [Service]
  const set = await muster(service, 'settings', 'set', 'banner', '1984')
  assert.deepEqual({ code: set.code, stderr: set.stderr }, { code: 0, stderr: '' })
  assert.equal((await muster(service, 'settings', 'set', 'maintenance', 'true')).code, 0)
  assert.equal(
    (await muster(service, 'settings', 'get')).stdout,
    'setting      value\nmaintenance  true\nbanner       1984\nlogLevel     not set\n'
  )
  const one = JSON.parse((await muster(service, 'settings', 'get', 'banner', '--json')).stdout)
  assert.deepEqual(one.result, { version: 2, values: { banner: '1984' } })
  const failures: [args: string[], code: number, stderr: RegExp][] = [
    [['settings', 'get', 'baner'], 1, /no setting "baner"; there are maintenance, banner, logLevel/],
    [['settings', 'set', 'maintenance', 'maybe'], 1, /"maintenance" must be boolean/],
    [['settings', 'set', 'banner'], 1, /the value is missing: give value or text/],
    [['settings', 'set'], 2, /key: missing; must be the name of a setting/],
    [['log-level'], 2, /missing; must be one of trace/],
    [['log-level', 'loud'], 2, /must be one of trace/],
    [['settings'], 2, /'settings get' or 'settings set'/],
    [['settings', 'drop', 'banner'], 2, /unknown command 'settings drop'/]
  ]
  for (const [args, code, stderr] of failures) {
    const answer = await muster(service, ...args)
    assert.equal(answer.code, code, args.join(' '))
    assert.match(answer.stderr, stderr)
  }
  const cleared = await muster(service, 'cache-clear')
  assert.deepEqual(
    { code: cleared.code, stdout: cleared.stdout },
    { code: 0, stdout: 'workers     2\nunanswered  0\n' }
  )
})

test('commands for workers are refused while no worker is ready', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('never-ready') }, wait: false })
  await service.line((line) => line.msg === 'worker started')
  for (const name of ['settings-get', 'cache-clear']) {
    const { status, body } = await command(service, name)
    assert.equal(status, 503)
    assert.deepEqual([body.ok, body.message], [false, 'no worker is ready to do it'])
  }
})
