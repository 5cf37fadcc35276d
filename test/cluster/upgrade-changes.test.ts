import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { once as ask, freePort } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, musterStream, startService, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

const OTHER_NODE = process.env.OTHER_NODE

test('PORT, WORKERS, LOG_LEVEL and REDIS_URL change by an env file, without a failed request on either port', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { workers: 1, env: { APP: fixture('slow'), CANARY_TIME: '100' } })
  const port = await freePort()
  const file = join(temporaryFolder(t), 'changed.env')
  writeFileSync(file, `PORT=${port}\nWORKERS=2\nLOG_LEVEL=warn\nREDIS_URL=${url}\n`)
  const load = new Load(t, service.port, { tight: 2, slow: 2, idle: 4 })
  await upgrade(service, '--env-file', file)
  const onNewPort = new Load(t, port, { tight: 1, fresh: 2 })
  await onNewPort.until(50)
  await Promise.all([load.stop(), onNewPort.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual([...onNewPort.failures], [])
  const status = JSON.parse((await muster(service, 'status', '--json')).stdout).result
  assert.equal(status.desired, 2)
  assert.match(status.url, new RegExp(`:${port}$`))
  const { result: variables } = JSON.parse((await muster(service, 'config', '--json')).stdout)
  assert.equal(variables.LOG_LEVEL, 'warn')
  await assert.rejects(ask(service.port, 'GET', '/echo?id=1'), /ECONNREFUSED/)
  assert.equal(redisOf(service), undefined, 'the embedded Redis has ended')
  // The next upgrade keeps the change.
  await upgrade(service)
  assert.equal((await ask(port, 'GET', '/echo?id=1')).status, 200)
  await stopUpgraded(service)
})

test('clients that watch events or give commands during an upgrade notice nothing', async (t) => {
  const service = await startService(t, { workers: 1, env: { CANARY_TIME: '100' } })
  const events = musterStream(t, service, 'events')
  let isEnded = false
  const asking = (async () => {
    let answers = 0
    for (; !isEnded; answers++) {
      const { code, stderr } = await muster(service, 'status')
      assert.equal(code, 0, stderr)
    }
    return answers
  })()
  await upgrade(service)
  isEnded = true
  assert.ok((await asking) > 0)
  assert.equal((await muster(service, 'recycle', '0')).code, 0)
  const seen: string[] = []
  await until(() => service.lines.some(({ msg }) => msg === 'primary replaced'), 'the end of the old primary')
  for (let line = await events.next(); !line.done; line = await events.next()) {
    seen.push(line.value)
    if (/recycle/.test(line.value) && /answered/.test(line.value)) break
  }
  assert.ok(seen.some((line) => line.includes('upgraded')))
  await stopUpgraded(service)
})

test("a start deletes what workers of a killed primary left, and an upgrade keeps what is the other primary's", async (t) => {
  const runDir = temporaryFolder(t)
  const report = join(runDir, 'in-flight-1.jsonl')
  writeFileSync(report, '')
  const service = await startService(t, { workers: 1, runDir, env: { APP: fixture('slow'), CANARY_TIME: '100' } })
  assert.equal(existsSync(report), false)
  writeFileSync(report, '')
  await upgrade(service)
  assert.equal(existsSync(report), true)
  await stopUpgraded(service)
})

test('Node.js itself is replaced, there and back', {
  skip: OTHER_NODE ? false : 'OTHER_NODE names no other Node.js'
}, async (t) => {
  const service = await startService(t, { workers: 2, env: { APP: fixture('slow'), CANARY_TIME: '100' } })
  const load = new Load(t, service.port, { tight: 1, fresh: 1, idle: 4 })
  const there = await upgrade(service, '--node', OTHER_NODE!)
  assert.notEqual(there.node, process.version)
  const back = await upgrade(service, '--node', process.execPath)
  assert.equal(back.node, process.version)
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  await stopUpgraded(service)
})
