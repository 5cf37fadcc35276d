import { homedir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/primary/embedded-redis.ts'
import { temporaryFolder } from './service.ts'

/** A real Redis of the test's own, on a Unix socket, and a plain client to look into it. */
export async function startRedis(
  t: TestContext
): Promise<{ url: string; client: Redis; server: EmbeddedRedis; pid(): number }> {
  let pid = 0
  const server = await startEmbeddedRedis({
    runDir: temporaryFolder(t),
    cacheDir: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster'),
    path: process.env.PATH ?? '',
    log: pino({ level: 'silent' }),
    onPid: (changed, alive) => {
      if (alive) pid = changed
    }
  })
  const client = new Redis(server.socketPath)
  client.on('error', () => {})
  t.after(async () => {
    client.disconnect()
    await server.stop()
  })
  return { url: `unix://${server.socketPath}`, client, server, pid: () => pid }
}
