import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'

/** Longer than all timeouts together, including the seconds that Node and this service add. */
const STOPPED_MS = 7500
const TIMES = {
  KEEP_ALIVE_TIMEOUT: '2000',
  HEADERS_TIMEOUT: '3000',
  REQUEST_TIMEOUT: '3000',
  HEARTBEAT_TIMEOUT: '0'
}

test('a worker that was stopped answers requests that arrived meanwhile', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { workers: 1, env: { REDIS_URL: url, APP: fixture('plain'), ...TIMES } })
  const [pid] = [...service.workers().keys()] as [number]
  const fresh = await Connection.open(service.port)
  const idle = await Connection.open(service.port)
  await idle.request('GET', '/livez')
  // It came behind the fresh one: that one is at the worker, too.
  await once(service.port, 'GET', '/livez')
  process.kill(pid, 'SIGSTOP')
  const answers = [fresh, idle].map((connection) => connection.request('GET', '/livez'))
  await sleep(STOPPED_MS)
  process.kill(pid, 'SIGCONT')
  for (const answer of answers) assert.equal((await answer).status, 200)
})
