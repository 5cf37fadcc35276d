import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { QuarantineGuard } from '../../src/http/plugins/quarantine/quarantine-guard.ts'
import { InFlightSampler } from '../../src/worker/quarantine/in-flight-samples.ts'
import { startApp } from '../helpers/app.ts'
import { Connection } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const COMPUTE_MS = 450

test('what is in flight is sampled while it waits, and while it computes, when no timer can fire', async (t) => {
  const events = new EventEmitter()
  const routes: FastifyPluginAsync = async (app) => {
    app.get('/waits', async () => once(events, 'end').then(() => ({})))
    app.get('/computes', async () => {
      events.emit('begin')
      const end = performance.now() + COMPUTE_MS
      while (performance.now() < end);
      return {}
    })
  }
  const guard = new QuarantineGuard({ request: async () => true, ended: () => {} })
  const appOptions = { sessions: false } as const
  const { port, connections } = await startApp(t, { listen: true, routes, appOptions, quarantine: guard })
  const sampler = new InFlightSampler(connections!.registry.all)
  guard.beforeChange = () => sampler.beforeChange()
  sampler.start()
  // Of one call, there are twelve at most: on a busy machine as many may be older.
  events.once('begin', () => sampler.take())
  const sampled = async (isWanted: (paths: string[]) => boolean) => {
    const paths = () => sampler.take().map((sample) => sample.map(({ path }) => path))
    await until(() => paths().some(isWanted), 'a sample')
  }

  await sampled((paths) => paths.length === 0)
  const [waiter, computer] = [await Connection.open(port), await Connection.open(port)]
  const waited = waiter.request('GET', '/waits?of=clients')
  await sampled((paths) => paths.join() === '/waits')
  const computed = computer.request('GET', '/computes')
  assert.equal((await computed).status, 200)
  const both = sampler.take().filter((sample) => sample.length === 2)
  assert.ok(both.length >= 4, `${both.length} samples in ${COMPUTE_MS} ms`)
  assert.deepEqual(both[0]!.map(({ route }) => route).sort(), ['/computes', '/waits'])

  events.emit('end')
  assert.equal((await waited).status, 200)
  await sampled((paths) => paths.length === 0)
  waiter.close()
  computer.close()
})
