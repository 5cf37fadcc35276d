import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { command } from '../helpers/admin.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { parseMetrics } from '../helpers/metrics.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const SOURCES = ['command', 'event', 'fork', 'action', 'plan', 'listener']

describe('the primary logs, counts and survives an exception, and supervision continues', { concurrency: 2 }, () => {
  for (const source of SOURCES) {
    test(`thrown from: ${source}`, async (t) => {
      const { url } = await startRedis(t)
      const NODE_OPTIONS = `--import=${fixture('faulty-primary')}`
      const env = { REDIS_URL: url, APP: fixture('plain'), NODE_OPTIONS, FAULT: source, CANARY_TIME: '0' }
      const service = await startService(t, { env })
      service.child.kill('SIGALRM')
      await service.line(({ msg }) => msg === 'armed')

      // Each of these plans, forks and drains; one of them meets the exception.
      const ping = await command(service, 'ping')
      assert.equal(ping.status, source === 'command' ? 500 : 200)
      const scaled = await command(service, 'scale', { workers: 3 })
      assert.equal(scaled.body.ok, source !== 'fork', JSON.stringify(scaled.body))
      await service.ready(3)
      const recycled = await command(service, 'recycle', { slot: 0 })
      assert.equal(recycled.body.ok, true, JSON.stringify(recycled.body))
      const line = await service.line(({ msg }) => msg === 'internal error')
      assert.equal(line.source, source)
      assert.match(JSON.stringify(line.err), new RegExp(`${source} is broken`))

      // Whatever comes afterwards is done as ever.
      const from = service.lines.length
      process.kill([...service.workers()].find(([, { slot }]) => slot === 1)![0], 'SIGKILL')
      await service.line(({ msg, slot }) => msg === 'worker ready' && slot === 1, from)
      const metrics = parseMetrics((await once(service.port, 'GET', '/metrics')).body)
      for (const one of SOURCES) {
        const name = `cluster_primary_errors_total{source="${one}",worker="primary"}`
        assert.equal(metrics.get(name), one === source ? 1 : 0, name)
      }
      assert.deepEqual(await service.stop(), { code: 0, signal: null })
    })
  }
})
