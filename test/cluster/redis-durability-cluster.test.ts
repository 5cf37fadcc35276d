import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { denied, documentedUser } from '../helpers/acl.ts'
import { once } from '../helpers/http.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { startService } from '../helpers/service.ts'
import { contradictions, TimedHits } from '../helpers/timed-hits.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const SLOTS = 16_384
const PRIMARIES = 3

/** Three primaries with a third of the slots each, and a replica of the one that has the hits. */
async function startCluster(t: TestContext) {
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-node-timeout': 1000,
    'repl-diskless-sync': 'yes',
    'repl-diskless-sync-delay': 0,
    user: documentedUser(['Cluster', 'REDIS_DURABILITY'])
  }
  const nodes = await Promise.all(Array.from({ length: PRIMARIES + 1 }, () => RedisServer.start(t, settings)))
  const [first, replica] = [nodes[0]!, nodes[PRIMARIES]!]
  const boundary = (i: number) => Math.ceil((i * SLOTS) / PRIMARIES)
  for (const [i, { client }] of nodes.entries()) {
    if (i < PRIMARIES) await client.call('CLUSTER', 'ADDSLOTSRANGE', boundary(i), boundary(i + 1) - 1)
    await client.cluster('MEET', '127.0.0.1', first.port)
  }
  for (const { client } of nodes) {
    await until(async () => {
      const info = await client.cluster('INFO')
      return /cluster_state:ok/.test(info) && info.includes(`cluster_known_nodes:${nodes.length}`)
    }, 'a Cluster')
  }
  const slot = await first.client.cluster('KEYSLOT', 'muster:hits')
  const primary = nodes[Math.floor((slot * PRIMARIES) / SLOTS)]!
  await replica.client.cluster('REPLICATE', (await primary.client.cluster('MYID')) as string)
  await until(async () => (await replica.client.info('replication')).includes('master_link_status:up'), 'a replica')
  return { nodes, primary, replica }
}

test('Cluster, replicas:1: a failover of the node with the hits loses no acknowledged hit and counts none twice', async (t) => {
  const { nodes, primary, replica } = await startCluster(t)
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join()
  const env = { REDIS_URL: `redis+cluster://muster:secret@${hosts}`, REDIS_DURABILITY: 'replicas:1' }
  const { port } = await startService(t, { env: { ...env, REDIS_TIMEOUT: '1000' } })
  const hits = new TimedHits(port, 4)
  await hits.more(200)
  await primary.end('SIGKILL')
  await until(async () => (await replica.client.role())[0] === 'master', 'a promotion', 60_000)
  await primary.run()
  await hits.more(200)
  await hits.stop()

  const { numbers, failed } = hits
  let counted = Number.NaN
  await until(async () => {
    const { status, body } = await once(port, 'GET', '/hits')
    if (status === 200) counted = (JSON.parse(body) as { hits: number }).hits
    return status === 200
  }, 'the count')
  assert.equal(await replica.client.get('muster:hits'), String(counted))
  t.diagnostic(`${numbers.length} acknowledged, ${counted} counted, ${failed} unknown`)
  assert.deepEqual(contradictions(hits.answers), [])
  assert.ok(counted >= numbers.length && counted <= numbers.length + failed, `${counted} of ${numbers.length}`)
  for (const node of nodes) assert.deepEqual(await denied(node), [])
})
