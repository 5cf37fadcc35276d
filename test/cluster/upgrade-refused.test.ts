import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { cleanup } from '../helpers/cleanup.ts'
import { CodeLink, changedCopy, ROOT } from '../helpers/code-copies.ts'
import { envFile, program } from '../helpers/failing-upgrades.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { fixture, Load } from '../helpers/load.ts'
import { muster, startService, temporaryFolder } from '../helpers/service.ts'
import { failUpgrade, primaryOf, redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

const TIMES = 2

test('an upgrade that cannot start is refused with the reason, and nothing changes', async (t) => {
  const service = await startService(t, { workers: 1, env: { BOOT_TIMEOUT: '20000', CANARY_TIME: '100' } })
  const folder = temporaryFolder(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  cleanup(t, () => taken.close())
  const { port } = taken.address() as { port: number }
  const before = { workers: [...service.workers().keys()], primary: primaryOf(service), redis: redisOf(service) }

  for (let i = 0; i < TIMES; i++) {
    const cases: [args: string[], reason: RegExp][] = [
      [envFile(t, 'WORKERS=many\nPORT=-1'), /invalid configuration/],
      [envFile(t, `PORT=${port}`), /is taken by another process/],
      [envFile(t, `RUN_DIR=${folder}`), /RUN_DIR: only a restart can change it/],
      [['--node', join(folder, 'missing')], /missing cannot be run/],
      [program(t, 'exit 3'), /the new primary ended: exit code 3/],
      [
        program(t, `exec "${process.execPath}" --import "data:text/javascript,throw 1" "$@"`),
        /the new primary ended: exit code 1/
      ]
    ]
    for (const [args, reason] of cases) assert.match(await failUpgrade(service, ...args), reason)
  }
  // Node 20 itself looks for the file of any --env-file.
  const missing = await muster(service, 'upgrade', '--env-file', join(folder, 'missing.env'))
  assert.notEqual(missing.code, 0)
  assert.match(missing.stderr, /missing.env/)
  assert.match(await failUpgrade(service, ...program(t, 'exec sleep 1000')), /was not prepared in 20000 ms/)

  assert.deepEqual([...service.workers().keys()], before.workers)
  assert.deepEqual([primaryOf(service), redisOf(service)], [before.primary, before.redis])
  assert.match((await muster(service, 'status')).stdout, /running on/)
  await upgrade(service)
  await stopUpgraded(service)
})

test('a worker of the new primary that does not boot in slot 2 rolls the upgrade back, with nothing lost', async (t) => {
  const service = await startService(t, { workers: 3, env: { APP: fixture('lasting'), CANARY_TIME: '100' } })
  const file = join(temporaryFolder(t), 'changed.env')
  writeFileSync(file, `APP=${fixture('lasting-not-in-slot-2')}\n`)
  const load = new Load(t, service.port, { tight: 1, fresh: 1, slow: 2, idle: 5 })
  const mix = { busySockets: 5, quietSockets: 5, streams: 5, transfers: 0 }
  const clients = await LastingClients.start(t, service.port, mix, { transferSeconds: 1 })
  assert.match(await failUpgrade(service, '--env-file', file), /slot 2 is broken|worker 2 cannot boot/)
  const status = JSON.parse((await muster(service, 'status', '--json')).stdout).result
  assert.equal(status.generation, 1)
  assert.deepEqual(
    status.workers.map((worker: { slot: number; generation: number; status: string }) => [
      worker.generation,
      worker.status
    ]),
    [1, 2, 3].map(() => [1, 'ready'])
  )
  await Promise.all([load.stop(), clients.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual([...clients.noticed], [])
  await stopUpgraded(service)
})

test('code with another upgrade protocol refuses to replace a running service, which goes on as before', async (t) => {
  const code = new CodeLink(t, ROOT)
  const service = await startService(t, {
    workers: 1,
    command: code.start,
    env: { APP: code.fixture('slow'), CANARY_TIME: '100' }
  })
  const before = { workers: [...service.workers().keys()], redis: redisOf(service) }
  const load = new Load(t, service.port, { tight: 1, fresh: 1, idle: 2 })
  const protocol = 'src/primary/upgrade/upgrade-protocol.js'
  code.swap(changedCopy(t, protocol, 'UPGRADE_PROTOCOL_VERSION = ', 'UPGRADE_PROTOCOL_VERSION = 10'))
  assert.match(await failUpgrade(service), /their upgrade protocols differ .*Stop the service and start it again/)
  code.swap(ROOT)
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual({ workers: [...service.workers().keys()], redis: redisOf(service) }, before)
  await upgrade(service)
  await stopUpgraded(service)
})

test('a version of muster with another upgrade protocol refuses, and says what to do', async () => {
  const child = fork(fixture('foreign-successor'), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  child.send({ type: 'begin', protocol: 99, version: '1.0.0', inheritance: {} })
  const [refused] = await once(child, 'message')
  assert.equal(refused.type, 'refused')
  assert.match(refused.why, /muster 9\.9\.9 cannot replace muster 1\.0\.0 without a restart/)
  assert.equal(await text(child.stdout!), `${refused.why}\n`)
})

test('over HTTP and by a signal, an upgrade takes neither a program nor a file', async (t) => {
  const token = 'control-'.padEnd(40, 'c')
  const service = await startService(t, { workers: 1, env: { ADMIN_TOKEN: token } })
  for (const args of [{ node: '/bin/true' }, { envFile: '/etc/passwd' }]) {
    const response = await fetch(`${service.url}/admin/commands/upgrade`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(args)
    })
    assert.equal(response.status, 403)
    assert.match(await response.text(), /only be given on the command line/)
  }
})
