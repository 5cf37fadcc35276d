import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { UPGRADE_PROTOCOL_VERSION } from '../../src/primary/upgrade/upgrade-protocol.ts'
import { buildVersion, CodeLink, previousVersion, ROOT } from '../helpers/code-copies.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { Load } from '../helpers/load.ts'
import { startService } from '../helpers/service.ts'
import { failUpgrade, redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'

const previous = previousVersion()
const protocolOf = (folder: string) =>
  Number(
    /UPGRADE_PROTOCOL_VERSION = (\d+)/.exec(
      readFileSync(join(folder, 'src/primary/upgrade/upgrade-protocol.ts'), 'utf8')
    )?.[1]
  )

test('an upgrade from the previous version to this one, and back, is noticed by no client', {
  skip: 'missing' in previous ? previous.missing : false
}, async (t) => {
  const { commit } = previous as { commit: string }
  const old = buildVersion(t, commit)
  const code = new CodeLink(t, old)
  const service = await startService(t, {
    workers: 2,
    command: code.start,
    env: { APP: code.fixture('lasting'), CANARY_TIME: '100' }
  })
  const redis = redisOf(service)
  const load = new Load(t, service.port, { tight: 1, fresh: 1, slow: 2, idle: 5 })
  const mix = { busySockets: 5, quietSockets: 5, streams: 5, transfers: 0 }
  const clients = await LastingClients.start(t, service.port, mix, { transferSeconds: 1 })
  code.swap(ROOT)
  if (protocolOf(old) === UPGRADE_PROTOCOL_VERSION) {
    await upgrade(service)
    await clients.receiveMore()
    code.swap(old)
    await upgrade(service)
  } else assert.match(await failUpgrade(service), /their upgrade protocols differ/)
  await clients.receiveMore()
  await Promise.all([load.stop(), clients.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual([...clients.noticed], [])
  assert.equal(redisOf(service), redis)
  await stopUpgraded(service)
})
