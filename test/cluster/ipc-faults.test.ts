import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readProcessStat } from '../../src/primary/health/process-stat.ts'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, processesWith, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

/** Clients of the workers that behave: connections that are at another slot than 1. They never retry. */
class Others {
  answered = 0
  #stopping = false
  readonly #loops: Promise<void>[] = []

  static async open(t: TestContext, port: number, count: number): Promise<Others> {
    const others = new Others()
    while (others.#loops.length < count) {
      const connection = await Connection.open(port)
      t.after(() => connection.close())
      const { slot } = JSON.parse((await connection.request('GET', '/who')).body) as { slot: number }
      if (slot === 1) connection.close()
      else others.#loops.push(others.#ask(connection, slot))
    }
    return others
  }

  /** Rejects with what went wrong with any of them. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#loops)
  }

  async #ask(connection: Connection, slot: number): Promise<void> {
    while (!this.#stopping) {
      const { status, body } = await connection.request('GET', '/who')
      assert.deepEqual([status, (JSON.parse(body) as { slot: number }).slot], [200, slot])
      this.answered++
      await sleep(2)
    }
  }
}

const pidOf = (service: Service, slot: number) => [...service.workers()].find(([, worker]) => worker.slot === slot)![0]

async function startMisuse(t: TestContext, misuse: string): Promise<{ service: Service; others: Others; pid: number }> {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('misuse'), MISUSE: misuse }
  const service = await startService(t, { env, workers: 2 })
  const others = await Others.open(t, service.port, 4)
  return { service, others, pid: pidOf(service, 1) }
}

for (const [misuse, why] of [
  ['garbage', /^garbage on its channel: Unexpected token/],
  ['half', /^garbage on its channel: .*JSON/],
  ['forged', /^garbage on its channel: This is caused by either a bug in Node.js/],
  ['flood', /^a flood of messages: \d+/]
] as const) {
  test(`${misuse} on a worker's channel: the worker is replaced and the others continue to serve`, async (t) => {
    const { service, others, pid } = await startMisuse(t, misuse)
    const from = service.lines.length
    const before = readProcessStat(service.pid)!.rssBytes
    process.kill(pid, 'SIGUSR2')
    const found = await service.line((line) => line.msg === 'protocol violation', from)
    assert.match(String(found.why), why)
    assert.equal(found.worker, pid)
    await service.line((line) => line.msg === 'worker ready' && line.slot === 1, from)
    const { answered } = others
    await until(() => others.answered > answered + 100, 'answers of the others')
    await others.stop()
    const grown = (readProcessStat(service.pid)!.rssBytes - before) / 2 ** 20
    assert.ok(grown < 200, `the primary has grown by ${grown} MiB`)
    assert.equal((await muster(service, 'ping')).stdout, 'pong\n')
    assert.equal(service.lines.slice(from).filter((line) => line.msg === 'worker exited').length, 1)
    t.diagnostic(`the primary has grown by ${grown.toFixed(1)} MiB`)
  })
}

test('messages with wrong fields are harmless and logged once', async (t) => {
  const { service, others, pid } = await startMisuse(t, 'wrong')
  process.kill(pid, 'SIGUSR2')
  const told = (line: { msg: string; worker?: number }) => line.msg === 'unknown message'
  assert.equal((await service.line(told)).worker, pid)
  // An answer of the same worker comes behind all of them on its channel.
  assert.match((await once(service.port, 'GET', '/metrics')).body, /^cluster_workers_missing\{worker="primary"\} 0$/m)
  assert.equal(pidOf(service, 1), pid, 'it is still the same worker')
  await others.stop()
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.equal(service.lines.filter(told).length, 1)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('any other exception in the primary is logged and ends the service with exit code 1', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, NODE_OPTIONS: `--import=${fixture('fault-in-primary')}` }
  const service = await startService(t, { env })
  service.child.kill('SIGALRM')
  const line = await service.line((line) => line.msg === 'primary crashed')
  assert.equal(line.level, 60)
  assert.match((line.err as Error).stack!, /a fault of its own/)
  assert.deepEqual(await service.exited, { code: 1, signal: null })
  await until(() => processesWith(service.runDir).length === 0, 'the end of the workers')
})
