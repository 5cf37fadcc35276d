import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture } from '../helpers/load.ts'
import { startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { ThinkingClients } from '../helpers/thinking-clients.ts'

const CONNECTIONS = sizeOf('REBALANCED_CONNECTIONS', 10_000)
const BLOCK_MS = 10
const env = { REDIS: 'off', APP: fixture('blocking'), KEEP_ALIVE_TIMEOUT: '600000', BOOT_TIMEOUT: '120000' }

/** The first three connections of slot 0. */
const threeHot = ({ slots }: ThinkingClients) => slots.flatMap((slot, id) => (slot === 0 ? [id] : [])).slice(0, 3)

test(`three hot ones of ${CONNECTIONS} connections are spread, and all others stay open`, async (t) => {
  const service = await startService(t, { env: { ...env, REBALANCE: 'on' }, workers: 4 })
  const clients = await ThinkingClients.open(t, service.port, CONNECTIONS, BLOCK_MS)
  const hot = threeHot(clients)
  await clients.activate(hot, 0)
  await clients.until(() => new Set(hot.map((id) => clients.slots[id])).size === 3)
  t.diagnostic(`spread after ${clients.answers.length} requests`)
  await clients.until(() => clients.answers.length >= 2000)
  await clients.activate([], 0)
  await clients.askAll()
  assert.deepEqual([...clients.failures], [])
  assert.ok(clients.connections.every((connection) => !connection.ended))
})

for (const off of [{ REBALANCE: 'off' }, { REBALANCE: 'on', SCHEDULING: 'sticky' }]) {
  test(`with ${JSON.stringify(off)}, hot connections stay where they are`, async (t) => {
    const service = await startService(t, { env: { ...env, ...off }, workers: 4 })
    const clients = await ThinkingClients.open(t, service.port, 20, BLOCK_MS)
    const [first] = clients.slots
    const hot = clients.slots.flatMap((slot, id) => (slot === first ? [id] : [])).slice(0, 3)
    await clients.activate(hot, 0)
    await clients.until(() => clients.answers.length >= 1500)
    assert.deepEqual([...new Set(clients.answers.map(({ slot }) => slot))], [first])
  })
}
