import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from './http.ts'
import { RedisProxy } from './proxy.ts'
import { startRedis } from './redis.ts'
import { type Service, startService } from './service.ts'
import { until } from './until.ts'

const CLIENTS = 16

/** Generous, since other processes share the cores: what takes longer than this is an error. */
const REDIS_TIMEOUT = '10000'

/** @returns whether each number from 1 on was given exactly once */
export const areExact = (numbers: readonly number[]): boolean =>
  numbers.toSorted((a, b) => a - b).every((number, i) => number === i + 1)

/** What counts a hit: a request of `/hits`, or a page of a visitor with a session. */
export type Counted = 'hit' | 'page'
/** Text of the command to Redis that counts. */
const COMMAND_OF = { hit: ':batches', page: ':visits' } as const

/**
 * Clients that hit and never ask twice, each on a connection of its own for as long as it lasts. One that is refused waits as long as
 * Retry-After says: without that, the number of refusals would be the speed of the machine.
 */
export class Hits {
  readonly numbers: number[] = []
  /** How often something else came than a number. */
  readonly errors = new Map<string, number>()
  readonly #done: Promise<unknown>
  readonly #pauseMs: number
  readonly #counted: Counted
  #stopping = false

  /** @param options.pauseMs pause of each client after an answer. Without one they take a whole core. */
  constructor(
    port: number,
    { clients = CLIENTS, pauseMs = 0, counted = 'hit' }: { clients?: number; pauseMs?: number; counted?: Counted } = {}
  ) {
    this.#pauseMs = pauseMs
    this.#counted = counted
    this.#done = Promise.all(Array.from({ length: clients }, () => this.#client(port)))
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
    let cookie = ''
    while (!this.#stopping) {
      try {
        if (!connection || connection.ended) connection = await Connection.open(port)
        const { status, headers, body } = await (this.#counted === 'hit'
          ? connection.request('POST', '/hits')
          : connection.request('GET', '/', cookie ? { cookie } : {}))
        cookie = headers['set-cookie']?.split(';')[0] ?? cookie
        if (status === 200) this.numbers.push((JSON.parse(body) as { hits: number }).hits)
        else this.#failed(`${status} ${body}`)
        const pauseMs = 1000 * Number(headers['retry-after'] ?? 0) || this.#pauseMs
        if (pauseMs > 0) await sleep(pauseMs)
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
async function cut(proxy: RedisProxy, counted: Counted = 'hit'): Promise<void> {
  proxy.loseAnswers(1, COMMAND_OF[counted])
  await until(() => proxy.toLose <= 0, 'a lost answer', 120_000)
}

async function killOne(service: Service): Promise<void> {
  const pids = [...service.workers().keys()]
  const from = service.lines.length
  const killed = pids[Math.floor(Math.random() * pids.length)]!
  process.kill(killed, 'SIGKILL')
  await service.line((line) => line.msg === 'worker exited' && line.worker === killed, from)
}

async function startBehindProxy(t: TestContext, url: string) {
  const proxy = await RedisProxy.start(t, url)
  const service = await startService(t, { env: { REDIS_URL: proxy.url, REDIS_TIMEOUT }, workers: 4 })
  return { service, proxy }
}

/** Counts hits while answers of Redis get lost, and expects no error and that every hit is counted exactly once. */
export async function countUnderCuts(t: TestContext, cuts: number): Promise<void> {
  const { url, client } = await startRedis(t)
  const { service, proxy } = await startBehindProxy(t, url)
  const hits = new Hits(service.port)
  for (let done = 0; done < cuts; done++) {
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
}

export interface Faults {
  /** Cuts of the connection to Redis that lose an answer. */
  cuts: number
  workerKills: number
  /** Kills of Redis with SIGKILL: the embedded Redis as it ships, which is started again. */
  redisKills: number
  reloads: number
}

/**
 * Counts at least so many hits over HTTP while faults happen in a random order, and expects that each hit that was answered 200
 * was counted exactly once, and each that was answered with an error at most once.
 */
export async function countUnderFaults(
  t: TestContext,
  least: number,
  faults: Faults,
  counted: Counted = 'hit'
): Promise<void> {
  const redis = await startRedis(t)
  const { service, proxy } = await startBehindProxy(t, redis.url)
  const hits = new Hits(service.port, { counted })
  const killRedis = async () => {
    const killed = redis.pid()
    process.kill(killed, 'SIGKILL')
    await until(() => redis.pid() !== killed, 'another Redis', 120_000)
  }
  const times = (count: number, act: () => unknown) => Array.from({ length: count }, () => act)
  const acts = [
    ...times(faults.cuts, () => cut(proxy, counted)),
    ...times(faults.workerKills, () => killOne(service)),
    ...times(faults.redisKills, killRedis),
    ...times(faults.reloads, () => service.reload())
  ].sort(() => Math.random() - 0.5)
  for (const act of acts) {
    await hits.more(least / acts.length)
    await act()
  }
  await hits.stop()
  assert.deepEqual(await service.stop(), { code: 0, signal: null })

  await until(() => redis.client.ping().catch(() => ''), 'an answer of Redis')
  const total = Number(await redis.client.get('muster:hits'))
  const acknowledged = hits.numbers.length
  const errors = JSON.stringify(Object.fromEntries(hits.errors))
  t.diagnostic(`${acknowledged} acknowledged, ${total} counted, errors: ${errors}`)
  assert.equal(new Set(hits.numbers).size, acknowledged, 'a number was given twice')
  assert.ok(acknowledged <= total && total <= acknowledged + hits.failed, `${total} of ${acknowledged}: ${errors}`)
  assert.ok(hits.answered >= least, `${hits.answered} hits`)
  assert.ok(acknowledged > 0.95 * hits.answered, `only ${acknowledged} were acknowledged: ${errors}`)
}
