import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'

/** Every series of a page, by its name and labels. */
function series(page: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const line of page.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const at = line.lastIndexOf(' ')
    assert.ok(!found.has(line.slice(0, at)), `${line.slice(0, at)} is there twice`)
    found.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return found
}

test('every worker serves the series of all workers and of the primary', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 3 })
  for (let i = 0; i < 30; i++) assert.equal((await once(service.port, 'POST', '/hits')).status, 200)
  for (let i = 0; i < 3; i++) {
    const found = series((await once(service.port, 'GET', '/metrics')).body)
    for (const worker of ['0', '1', '2', 'primary'])
      assert.ok(found.get(`process_resident_memory_bytes{worker="${worker}"}`))
    const counts = ['0', '1', '2'].map((worker) =>
      found.get(`http_request_duration_seconds_count{method="POST",route="/hits",status_code="200",worker="${worker}"}`)
    )
    assert.equal(
      counts.reduce((sum, count) => sum! + count!, 0),
      30
    )
    assert.equal(found.get('cluster_workers{status="ready",worker="primary"}'), 3)
  }
})
