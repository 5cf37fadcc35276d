import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { findRedis } from '../../src/primary/embedded-redis/find-redis.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/primary/embedded-redis/run-redis.ts'
import { type Cleans, cleanup } from './cleanup.ts'
import { temporaryFolder } from './service.ts'
import { until } from './until.ts'

const LOCATION = {
  cacheDir: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster'),
  path: process.env.PATH ?? '',
  log: pino({ level: 'silent' })
}

/** Starts a Redis for one test on a Unix socket, as the primary does, and a client for looking into it. */
export async function startRedis(
  t: Cleans
): Promise<{ url: string; client: Redis; server: EmbeddedRedis; pid(): number }> {
  let pid = 0
  const server = await startEmbeddedRedis({
    ...LOCATION,
    runDir: temporaryFolder(t),
    onPid: (changed, alive) => {
      if (alive) pid = changed
    }
  })
  const client = clientOf(server.socketPath)
  cleanup(t, async () => {
    client.disconnect()
    await server.stop()
  })
  return { url: `unix://${server.socketPath}`, client, server, pid: () => pid }
}

/** Starts a Redis for one test with these settings, as in redis.conf. Only the test restarts it. */
export async function launchRedis(t: Cleans, settings: Record<string, string>) {
  const { file, env } = await findRedis(LOCATION)
  const dir = temporaryFolder(t)
  const unixsocket = join(dir, 'redis.sock')
  const args = Object.entries({ dir, unixsocket, port: '0', save: '', ...settings })
  const launch = () =>
    spawn(
      file,
      args.flatMap(([name, value]) => [`--${name}`, value]),
      { env, stdio: 'ignore' }
    )
  const client = clientOf(unixsocket)
  let child = launch()
  const end = async (signal: NodeJS.Signals) => {
    const exited = once(child, 'exit')
    if (child.kill(signal)) await exited
  }
  const ready = () => until(async () => (await client.ping().catch(() => '')) === 'PONG', 'an answer of Redis')
  cleanup(t, async () => {
    client.disconnect()
    await end('SIGKILL')
  })
  await ready()
  return {
    url: `unix://${unixsocket}`,
    client,
    /** Ends Redis with a signal and starts it again with its data on disk. */
    restart: async (signal: NodeJS.Signals) => {
      await end(signal)
      child = launch()
      await ready()
    }
  }
}

function clientOf(socketPath: string): Redis {
  const client = new Redis(socketPath)
  client.on('error', () => {})
  return client
}
