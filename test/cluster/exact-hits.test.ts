import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Connection, once } from '../helpers/http.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { launchRedis, startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'

const CLIENTS = 16
const CUTS = 40
/** At least so many, with all the faults among them. */
const HITS = 20_000
/** Generous, since other processes share the cores: what takes longer than this is an error. */
const REDIS_TIMEOUT = '10000'

/** Clients that hit and never ask twice, each on a connection of its own for as long as it lasts. */
class Hits {
  readonly numbers: number[] = []
  /** How often something else came than a number. */
  readonly errors = new Map<string, number>()
  readonly #done: Promise<unknown>
  #stopping = false

  constructor(port: number) {
    this.#done = Promise.all(Array.from({ length: CLIENTS }, () => this.#client(port)))
  }

  get failed(): number {
    return [...this.errors.values()].reduce((sum, times) => sum + times, 0)
  }

  get answered(): number {
    return this.numbers.length + this.failed
  }

  /** Resolves when so many hits more have been answered. */
  more(count: number): Promise<void> {
    const wanted = this.answered + count
    return until(() => this.answered >= wanted, `${count} answers`, 120_000)
  }

  /** Ends each client after the hit that it is at. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  async #client(port: number): Promise<void> {
    let connection: Connection | undefined
    while (!this.#stopping) {
      try {
        if (!connection || connection.ended) connection = await Connection.open(port)
        const { status, body } = await connection.request('POST', '/hits')
        if (status === 200) this.numbers.push((JSON.parse(body) as { hits: number }).hits)
        else this.#failed(`${status} ${body}`)
      } catch (error) {
        this.#failed((error as Error).message)
      }
    }
    connection?.close()
  }

  #failed(what: string): void {
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1)
  }
}

/** Loses the answer to a batch, and with it the connection. */
async function cut(proxy: RedisProxy): Promise<void> {
  proxy.loseAnswers(1, ':batches')
  await until(() => proxy.toLose <= 0, 'a lost answer', 120_000)
}

async function killOne(service: Service): Promise<void> {
  const pids = [...service.workers().keys()]
  const from = service.lines.length
  const killed = pids[Math.floor(Math.random() * pids.length)]!
  process.kill(killed, 'SIGKILL')
  await service.line((line) => line.msg === 'worker is gone' && line.worker === killed, from)
}

test('200 concurrent hits on 4 workers get 200 different numbers, and the counter is 200', async (t) => {
  const { url, client } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 4 })
  const answers = await Promise.all(Array.from({ length: 200 }, () => once(service.port, 'POST', '/hits')))
  const numbers = answers.map(({ body }) => (JSON.parse(body) as { hits: number }).hits).sort((a, b) => a - b)
  assert.deepEqual(
    numbers,
    Array.from({ length: 200 }, (_, i) => i + 1)
  )
  assert.equal(await client.get('muster:hits'), '200')
})

test('cuts alone, the replies dropped, give no error: every hit is counted exactly once', async (t) => {
  const { url, client } = await startRedis(t)
  const { service, proxy } = await startBehindProxy(t, url)
  const hits = new Hits(service.port)
  for (let cuts = 1; cuts <= CUTS; cuts++) {
    await hits.more(200)
    await cut(proxy)
  }
  await hits.stop()
  const total = hits.numbers.length
  assert.deepEqual(Object.fromEntries(hits.errors), {})
  assert.deepEqual(
    hits.numbers.sort((a, b) => a - b),
    Array.from({ length: total }, (_, i) => i + 1)
  )
  assert.equal(await client.get('muster:hits'), String(total))
})

test('every hit that was answered 200 is counted exactly once, one answered with an error at most once', async (t) => {
  const redis = await launchRedis(t, { appendonly: 'yes', appendfsync: 'always' })
  const { service, proxy } = await startBehindProxy(t, redis.url)
  const hits = new Hits(service.port)
  const faults = [
    ...Array.from({ length: CUTS }, () => () => cut(proxy)),
    ...Array.from({ length: 5 }, () => () => killOne(service)),
    () => redis.restart('SIGKILL'),
    () => redis.restart('SIGTERM'),
    () => service.reload(),
    () => service.reload()
  ].sort(() => Math.random() - 0.5)
  for (const fault of faults) {
    await hits.more(HITS / faults.length)
    await fault()
  }
  await hits.stop()
  assert.deepEqual(await service.stop(), { code: 0, signal: null })

  const counted = Number(await redis.client.get('muster:hits'))
  const acknowledged = hits.numbers.length
  const errors = JSON.stringify(Object.fromEntries(hits.errors))
  t.diagnostic(`${acknowledged} acknowledged, ${counted} counted, errors: ${errors}`)
  assert.equal(new Set(hits.numbers).size, acknowledged, 'a number twice')
  assert.ok(
    acknowledged <= counted && counted <= acknowledged + hits.failed,
    `${counted} of ${acknowledged}: ${errors}`
  )
  assert.ok(hits.answered >= HITS, `${hits.answered} hits`)
  assert.ok(acknowledged > 0.95 * hits.answered, `only ${acknowledged} were acknowledged: ${errors}`)
})

async function startBehindProxy(t: TestContext, url: string) {
  const proxy = await RedisProxy.start(t, url)
  const service = await startService(t, { env: { REDIS_URL: proxy.url, REDIS_TIMEOUT }, workers: 4 })
  return { service, proxy }
}
