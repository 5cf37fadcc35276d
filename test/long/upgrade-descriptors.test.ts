import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once as ask, Connection, head } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { isAlive, muster, processesWith, type Service, startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { until } from '../helpers/until.ts'
import { commandOf, descriptorsOf, primaryOf, redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'

const WORKERS = 2
const times = sizeOf('UPGRADES', 10)

/** How many descriptors of each kind a process has: of every kind the name without the number in it. */
function kindsOf(pid: number): Record<string, number> {
  const kinds: Record<string, number> = {}
  for (const name of descriptorsOf(pid)) {
    const kind = name.replace(/\d+/g, 'N').replace(/^\/tmp\/.*/, 'file')
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(kinds).toSorted())
}

/** Of the primary, and of each worker in the order of the slots. */
async function descriptors(service: Service): Promise<Record<string, number>[]> {
  const { result } = JSON.parse((await muster(service, 'status', '--json')).stdout)
  const inOrder = result.workers.toSorted((a: { slot: number }, b: { slot: number }) => a.slot - b.slot)
  return [primaryOf(service), ...inOrder.map(({ pid }: { pid: number }) => pid)].map(kindsOf)
}

/** Waits until the service has these descriptors, and no more processes than it needs. */
async function expectDescriptors(service: Service, expected: Record<string, number>[]): Promise<void> {
  // The reaper and Redis are the others.
  const left = () => processesWith(service.runDir).filter((pid) => isAlive(pid))
  await until(() => left().length === WORKERS + 3, 'the end of all other processes').catch(() =>
    assert.fail(left().map(commandOf).join('\n'))
  )
  // A worker may end between the answer that names it and the look at its descriptors.
  const now = () => descriptors(service).catch(() => undefined)
  const isSame = async () => JSON.stringify(await now()) === JSON.stringify(expected)
  await until(isSame, 'the same descriptors').catch(async () => assert.deepEqual(await descriptors(service), expected))
}

test(`after ${times} upgrades no process is left over, and the primary and the workers have no descriptor more`, async (t) => {
  const service = await startService(t, { workers: WORKERS, env: { APP: fixture('slow'), CANARY_TIME: '100' } })
  await upgrade(service)
  assert.equal((await ask(service.port, 'GET', '/echo?id=1')).status, 200)
  const first = await descriptors(service)
  for (let i = 0; i < times; i++) await upgrade(service)
  await expectDescriptors(service, first)
  await stopUpgraded(service)
})

test('killed primaries leave no descriptor behind, whichever of the two it is', async (t) => {
  const env = { APP: fixture('slow'), CANARY_TIME: '100', LOG_LEVEL: 'debug' }
  const service = await startService(t, { workers: WORKERS, env })
  await upgrade(service)
  const first = await descriptors(service)
  for (const step of ['booting', 'serving']) {
    for (const killed of ['successor', 'old'] as const) {
      await upgradeWithDeath(service, killed, step)
      await expectDescriptors(service, first)
    }
  }
  await stopUpgraded(service)
})

test('a primary that takes the service back has no descriptor more than before it was replaced', async (t) => {
  const service = await startService(t, { workers: WORKERS, env: { APP: fixture('slow'), CANARY_TIME: '100' } })
  await upgrade(service)
  const first = await descriptors(service)
  const redis = redisOf(service)
  const old = primaryOf(service)
  // The old primary stays as long as one of its workers answers this request.
  const held = await Connection.open(service.port)
  held.socket.write(head('GET', '/slow?ms=600000&id=1'))
  assert.equal((await muster(service, 'upgrade')).code, 0)
  const successor = primaryOf(service)
  assert.notEqual(successor, old)
  process.kill(successor, 'SIGKILL')
  await until(() => primaryOf(service) === old, 'the old primary in charge')
  held.close()
  await expectDescriptors(service, first)
  assert.equal(redisOf(service), redis, 'the embedded Redis has run all the time')
  await stopUpgraded(service)
})

/** Begins an upgrade and kills one of the primaries when the successor is at this step. */
async function upgradeWithDeath(service: Service, killed: 'successor' | 'old', step: string): Promise<void> {
  const old = primaryOf(service)
  const upgrading = muster(service, 'upgrade')
  await service.line(({ msg, pid, ...line }) => {
    if (msg !== 'upgrade step' || line.step !== step || pid === old) return false
    process.kill(killed === 'old' ? old : pid!, 'SIGKILL')
    return true
  }, service.lines.length)
  await upgrading
}
