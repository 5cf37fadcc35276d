import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAILING_UPGRADES } from '../helpers/failing-upgrades.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { fixture, Load } from '../helpers/load.ts'
import { muster, startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { until } from '../helpers/until.ts'
import { descriptorsOf, failUpgrade, redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'

const WORKERS = 3
const times = sizeOf('FAILED_UPGRADES', 10)

for (const { name, args, reason, hangs } of FAILING_UPGRADES) {
  test(`${times} upgrades fail because of ${name}: no client notices anything, and the service stays as it was`, async (t) => {
    const env = { APP: fixture('lasting'), CANARY_TIME: '100', BOOT_TIMEOUT: hangs ? '20000' : '60000' }
    const service = await startService(t, { workers: WORKERS, env })
    const given = args(t)
    const load = new Load(t, service.port, { tight: 1, fresh: 1, slow: 2, idle: 5 })
    const mix = { busySockets: 5, quietSockets: 5, streams: 5, transfers: 2 }
    const clients = await LastingClients.start(t, service.port, mix, { transferSeconds: 2 })
    const status = async () => {
      const { pid, generation, state, workers } = JSON.parse((await muster(service, 'status', '--json')).stdout).result
      const ready = workers.filter((worker: { status: string }) => worker.status === 'ready').length
      return { pid, generation, state, ready, redis: redisOf(service) }
    }
    const before = await status()
    const descriptors = descriptorsOf(before.pid).length
    for (let i = 0; i < times; i++) assert.match(await failUpgrade(service, ...given), reason)
    assert.deepEqual(await status(), before)
    await clients.receiveMore()
    await Promise.all([load.stop(), clients.stop()])
    assert.deepEqual([...clients.noticed], [])
    assert.deepEqual([...load.failures], [])
    assert.equal(load.reopened, 0)
    await until(() => descriptorsOf(before.pid).length <= descriptors, 'as many descriptors as before').catch(() =>
      assert.equal(descriptorsOf(before.pid).length, descriptors)
    )
    await upgrade(service)
    await stopUpgraded(service)
  })
}
