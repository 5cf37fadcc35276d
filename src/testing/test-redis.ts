import type { Cluster, Redis } from 'ioredis'
import { StartupError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import { startEmbeddedRedis } from '../primary/embedded-redis/run-redis.ts'
import { type OrphanReaper, startOrphanReaper } from '../primary/host/orphan-reaper.ts'
import type { RedisConnection } from '../state/redis/redis-connection.ts'
import type { TestResources } from './test-resources.ts'

const SCAN_COUNT = 1000

/** One for all servers of this process: it ends them should this process be killed. */
let reaper: OrphanReaper | undefined

/** Starts an embedded Redis in the folder of the resources. @returns its URL @throws StartupError that names the remedies */
export async function startTestRedis({ cacheDir, searchPath }: Config, resources: TestResources, log: Logger) {
  reaper ??= startOrphanReaper(log)
  const server = await startEmbeddedRedis({
    runDir: resources.folder,
    cacheDir,
    path: searchPath,
    log,
    onPid: (pid, alive) => {
      resources.note(pid, alive)
      reaper?.note('server', pid, alive)
    }
  })
  resources.add(() => server.stop())
  return `unix://${server.socketPath}`
}

/** @throws StartupError when the Redis of REDIS_URL does not answer; a worker would start and wait for it */
export function checkIsUp({ up, isOff, cause }: RedisConnection): void {
  if (up || isOff) return
  throw new StartupError(
    `The Redis of REDIS_URL does not answer (${cause?.message ?? 'no connection'}): start it, or unset REDIS_URL, and the test ` +
      'starts a Redis of its own'
  )
}

/** Deletes the keys of the service from Redis. Its prefix is random, and helper keys have it behind a brace. */
export async function removeKeys({ client, keys, isOff }: RedisConnection): Promise<void> {
  if (isOff) return
  const nodes = 'nodes' in client ? (client as Cluster).nodes('master') : [client as Redis]
  for (const node of nodes) {
    for await (const found of node.scanStream({ match: `*${keys.prefix}*`, count: SCAN_COUNT })) {
      for (const key of found as string[]) await client.unlink(key)
    }
  }
}
