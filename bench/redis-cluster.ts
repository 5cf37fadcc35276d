import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from './redis.ts'
import { BenchError } from './scenario.ts'

const SLOTS = 16_384
const PATIENCE_MS = 60_000

/** Starts primaries without replicas that share the slots evenly. @returns the URL of each node */
export async function startCluster(nodes: number, folder: string): Promise<string[]> {
  const urls: string[] = []
  for (let node = 0; node < nodes; node++) {
    const own = join(folder, `node-${node}`)
    mkdirSync(own)
    urls.push(await startRedis(own, ['--cluster-enabled', 'yes']))
  }
  // A node that has just been started refuses the first connection, and the client tries again.
  const clients = urls.map((url) => new Redis(url, { maxRetriesPerRequest: null }).on('error', () => undefined))
  try {
    for (const [node, client] of clients.entries()) {
      const first = Math.ceil((node * SLOTS) / nodes)
      const end = Math.ceil(((node + 1) * SLOTS) / nodes)
      await client.cluster('ADDSLOTS', ...Array.from({ length: end - first }, (_, slot) => first + slot))
      await client.cluster('MEET', '127.0.0.1', Number(new URL(urls[0]!).port))
    }
    const deadline = Date.now() + PATIENCE_MS
    for (const client of clients) {
      for (;;) {
        const info = (await client.cluster('INFO')) as string
        if (/cluster_state:ok/.test(info) && info.includes(`cluster_known_nodes:${nodes}`)) break
        if (Date.now() > deadline) throw new BenchError(`the nodes are no Cluster: ${info}`)
        await sleep(100)
      }
    }
    return urls
  } finally {
    for (const client of clients) client.disconnect()
  }
}

/** The URL that the service takes for a Cluster of these nodes. */
export const clusterUrl = (urls: readonly string[]): string =>
  `redis+cluster://${urls.map((url) => new URL(url).host).join(',')}`
