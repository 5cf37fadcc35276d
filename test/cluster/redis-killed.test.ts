import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { parse } from 'yaml'
import { startEmbeddedRedis } from '../../src/primary/embedded-redis/run-redis.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { Counters } from '../../src/state/shared/counters.ts'
import { freePort } from '../helpers/http.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'
import { slowRedis, syncLibrary } from '../helpers/slow-disk.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

/** A disk that takes so long for a sync: with `appendfsync everysec` Redis holds its writes back for most of the time. */
const SYNC_MS = 3000
const KILLS = 2
const log = pino({ level: 'silent' })
const skip = missing('cc', 'redis-server')

/** Counts at once with 16 callers, kills Redis again and again, and expects that no number is given twice. */
async function expectNothingLost(t: TestContext, url: string, kill: () => Promise<unknown>): Promise<void> {
  const connection = new RedisConnection(url, 20_000, log)
  t.after(() => connection.stop())
  await connection.start(async () => {})
  const counter = new Counters(connection).get('hits')
  const numbers: number[] = []
  let stopping = false
  const callers = Array.from({ length: 16 }, async () => {
    while (!stopping) numbers.push(await counter.increment())
  })
  const callersMade = (more: number) => {
    const wanted = numbers.length + more
    return until(() => numbers.length >= wanted, `${more} numbers`, 120_000)
  }
  for (let kills = 0; kills < KILLS; kills++) {
    // Within this time a sync that goes on every second begins, and does not end.
    const end = performance.now() + 1800
    while (performance.now() < end) await callersMade(100)
    await kill()
    await callersMade(100)
  }
  stopping = true
  await Promise.all(callers)
  numbers.sort((a, b) => a - b)
  const twice = numbers.filter((number, i) => number === numbers[i - 1]).length
  assert.equal(twice, 0, `of ${numbers.length} numbers so many were given twice: Redis lost what it had answered`)
  assert.equal(numbers.at(-1), numbers.length, 'a number is missing')
}

// The tests mostly wait for slow syncs.
describe('Redis on a slow disk', { concurrency: true }, () => {
  for (const fsync of ['everysec', 'always'] as const) {
    test(`the embedded Redis keeps what it acknowledged when it is killed with a slow disk: REDIS_FSYNC=${fsync}`, {
      skip
    }, async (t) => {
      let pid = 0
      const redis = await startEmbeddedRedis({
        runDir: temporaryFolder(t),
        cacheDir: temporaryFolder(t),
        // A sync before each answer is slow enough by itself.
        path: `${slowRedis(t, fsync === 'always' ? 20 : SYNC_MS)}:${process.env.PATH}`,
        log,
        fsync,
        onPid: (changed, alive) => {
          if (alive) pid = changed
        }
      })
      t.after(() => redis.stop())
      await expectNothingLost(t, `unix://${redis.socketPath}`, async () => {
        const killed = pid
        process.kill(killed, 'SIGKILL')
        await until(() => pid !== killed, 'another Redis', 60_000)
      })
    })
  }

  test('the Redis of docker-compose.yml keeps what it acknowledged when it is killed with a slow disk', {
    skip
  }, async (t) => {
    const { services } = parse(readFileSync(new URL('../../../docker-compose.yml', import.meta.url), 'utf8'))
    const folder = temporaryFolder(t)
    const port = await freePort()
    writeFileSync(join(folder, 'redis.conf'), `port ${port}\nbind 127.0.0.1\ndir ${folder}\n`)
    const [file, ...args] = (services.redis.command as string[]).map((word) =>
      word
        .replace('/run/secrets/redis.conf', join(folder, 'redis.conf'))
        .replaceAll('/data/', `${folder}/`)
        .replaceAll('$$', '$')
    )
    const env = { ...process.env, PATH: `${slowRedis(t, SYNC_MS)}:${process.env.PATH}` }
    const launch = () => spawn(file!, args, { env, stdio: 'ignore', detached: true })
    let child = launch()
    const end = async () => {
      const exited = once(child, 'exit')
      process.kill(-child.pid!, 'SIGKILL')
      await exited
    }
    t.after(end)
    await expectNothingLost(t, `redis://127.0.0.1:${port}`, async () => {
      await end()
      child = launch()
    })
  })

  test('the append-only file is synced within seconds of a write, and only after a write', {
    skip: missing('cc')
  }, async (t) => {
    const folder = temporaryFolder(t)
    const [file, syncs] = [join(folder, 'appendonly.aof'), join(temporaryFolder(t), 'syncs')]
    const module = new URL('../../src/primary/embedded-redis/append-only-sync.js', import.meta.url)
    const script = `
    import { appendFileSync } from 'node:fs'
    import { createInterface } from 'node:readline'
    import { syncEverySecond } from ${JSON.stringify(module)}
    syncEverySecond(${JSON.stringify(folder)}, console)
    createInterface({ input: process.stdin }).on('line', (line) => appendFileSync(${JSON.stringify(file)}, line))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, LD_PRELOAD: syncLibrary(t), SYNC_LOG: syncs },
      stdio: ['pipe', 'inherit', 'inherit']
    })
    t.after(() => child.kill('SIGKILL'))
    const synced = () =>
      existsSync(syncs)
        ? readFileSync(syncs, 'utf8')
            .split('\n')
            .filter((path) => path === file)
        : []
    for (let writes = 1; writes <= 3; writes++) {
      child.stdin.write('a write\n')
      await until(() => synced().length === writes, `sync ${writes}`, 60_000)
    }
  })
})
