import { setTimeout as sleep } from 'node:timers/promises'
import { documentedUser } from './acl.ts'
import type { Cleans } from './cleanup.ts'
import { freePort } from './http.ts'
import { launchRedis } from './redis.ts'
import { RedisServer, type Settings } from './redis-server.ts'
import { until } from './until.ts'

const SLOTS = 16_384
export const NODES = 3

/** Three primaries with a third of the slots each. */
export async function startCluster(t: Cleans, more: Settings = {}): Promise<RedisServer[]> {
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-node-timeout': 5000,
    appendonly: 'yes',
    user: documentedUser('Cluster'),
    ...more
  }
  const nodes = await Promise.all(Array.from({ length: NODES }, () => RedisServer.start(t, settings)))
  for (const [i, { client }] of nodes.entries()) {
    const first = Math.ceil((i * SLOTS) / NODES)
    const end = Math.ceil(((i + 1) * SLOTS) / NODES)
    await client.cluster('ADDSLOTS', ...Array.from({ length: end - first }, (_, slot) => first + slot))
    await client.cluster('MEET', '127.0.0.1', nodes[0]!.port)
  }
  for (const { client } of nodes) {
    await until(async () => {
      const info = await client.cluster('INFO')
      return /cluster_state:ok/.test(info) && info.includes(`cluster_known_nodes:${NODES}`)
    }, 'a Cluster')
  }
  return nodes
}

/** A Cluster of one node with all slots. It is sooner ready than one of several. Returns the REDIS_URL of a service. */
export async function startSmallCluster(t: Cleans): Promise<string> {
  const port = await freePort()
  const { client } = await launchRedis(t, {
    'cluster-enabled': 'yes',
    'cluster-announce-ip': '127.0.0.1',
    bind: '127.0.0.1',
    port: `${port}`
  })
  await client.cluster('ADDSLOTS', ...Array(SLOTS).keys())
  await until(async () => /cluster_state:ok/.test(String(await client.cluster('INFO'))), 'a Cluster')
  return `redis+cluster://127.0.0.1:${port}`
}

/** Moves a slot while it is in use, one key after the other, as redis-cli does it. */
export async function moveSlot(slot: number, from: RedisServer, to: RedisServer, nodes: RedisServer[]): Promise<void> {
  const id = async ({ client }: RedisServer) => (await client.cluster('MYID')) as string
  await to.client.cluster('SETSLOT', slot, 'IMPORTING', await id(from))
  await from.client.cluster('SETSLOT', slot, 'MIGRATING', await id(to))
  for (;;) {
    const [key] = (await from.client.cluster('GETKEYSINSLOT', slot, 1)) as string[]
    if (key === undefined) break
    await from.client.migrate('127.0.0.1', to.port, key, 0, 5000)
    await sleep(20) // Requests are to meet a slot whose keys are at two nodes.
  }
  for (const { client } of [to, from, ...nodes]) await client.cluster('SETSLOT', slot, 'NODE', await id(to))
}

/** The index of the node that has this slot at first. */
export const nodeOf = (slot: number): number => Math.floor((slot * NODES) / SLOTS)

/** REDIS_URL of a service. */
export const clusterUrl = (nodes: readonly RedisServer[]): string =>
  `redis+cluster://muster:secret@${nodes.map(({ port }) => `127.0.0.1:${port}`).join()}`
