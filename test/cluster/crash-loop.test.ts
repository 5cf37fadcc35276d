import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const TICKS_PER_SECOND = 100
/** CPU time of the process, without its children, in seconds. */
function cpuSeconds({ pid }: Service): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Connections to workers of other slots than this one. */
async function connectionsBeside({ port }: Service, slot: number, count: number): Promise<Connection[]> {
  const found: Connection[] = []
  while (found.length < count) {
    const connection = await Connection.open(port)
    const answer = await connection.request('GET', '/echo?id=1').catch(() => undefined)
    if (answer && (JSON.parse(answer.body) as { slot: number }).slot !== slot) found.push(connection)
    else connection.close()
  }
  return found
}

test('a crash-looping slot leaves the other slots alone and makes the service degraded', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('crash-slot'), RESTART_BACKOFF: '300' }
  const service = await startService(t, { env, workers: 3, wait: false })
  service.port = (await service.line(({ msg }) => msg === 'muster started')).port!
  await service.line(({ msg, slot }) => msg === 'worker ready' && slot === 0)
  await service.line(({ msg, slot }) => msg === 'worker ready' && slot === 2)
  const connections = await connectionsBeside(service, 1, 10)
  const [startedAt, cpuBefore] = [performance.now(), cpuSeconds(service)]
  const crashes = () => service.lines.filter(({ msg, slot }) => msg === 'worker exited' && slot === 1)
  let answered = 0
  while (crashes().length < 12) {
    for (const connection of connections) assert.equal((await connection.request('GET', '/echo?id=1')).status, 200)
    answered += connections.length
    await sleep(20)
  }
  for (const connection of connections) connection.close()
  const part = (cpuSeconds(service) - cpuBefore) / ((performance.now() - startedAt) / 1000)
  t.diagnostic(
    `${crashes().length} crashes, ${answered} answers of the others, the primary used ${(part * 100).toFixed(1)} % of a core`
  )
  assert.match(String(crashes()[0]!.why), /TypeError: slot 1 is broken/)
  const { stdout } = await muster(service, 'status', '--json')
  assert.equal((JSON.parse(stdout) as { result: { state: string } }).result.state, 'degraded')
  assert.equal((await once(service.port, 'GET', '/readyz')).status, 200)
})

test('a service without any worker left exits: with 1 after crashes, with 78 when nothing boots', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  const env = { REDIS_URL: url, APP: deploys.app, RESTART_BACKOFF: '10' }
  deploys.deploy(
    'crashes',
    `setInterval(() => {
      if (app.cluster().workers.some(({ pid, status }) => pid === process.pid && status === 'ready')) process.exit(5)
    }, 10)`
  )
  const crashing = await startService(t, { env, workers: 1, wait: false })
  assert.deepEqual(await crashing.exited, { code: 1, signal: null })
  assert.match(crashing.stderr, /every worker failed 10 times in a row/)

  deploys.deploy('boots')
  const service = await startService(t, { env, workers: 1 })
  deploys.deploy('does-not-boot', 'process.exit(6)')
  deploys.remove('boots')
  process.kill([...service.workers().keys()][0]!, 'SIGKILL')
  assert.deepEqual(await service.exited, { code: 78, signal: null })
})
