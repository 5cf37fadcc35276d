import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis'
import { launch } from './children.ts'
import { BenchError } from './command.ts'
import { freePort } from './servers.ts'

/** A Redis that answers: where it is, and its own account of its version. */
export interface RunningRedis {
  readonly url: string
  readonly version: string
}

/** Uses the Redis at `url`, or starts one for this run in `folder`: loopback, append-only file, no snapshots. */
export async function provideRedis(url: string | undefined, folder: string): Promise<RunningRedis> {
  const address = url ?? (await startRedis(folder))
  return { url: address, version: await versionOf(address) }
}

/** A number that Redis tells about itself. @param section of INFO @param field of that section */
export async function infoOf(url: string, section: string, field: string): Promise<number> {
  const client = new Redis(url)
  try {
    return Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(await client.info(section))?.[1])
  } finally {
    client.disconnect()
  }
}

async function startRedis(folder: string): Promise<string> {
  const program = onPath('redis-server') ?? onPath('valkey-server')
  if (!program) {
    throw new BenchError(
      'A Redis is needed and neither redis-server nor valkey-server is on PATH. Install one, or name a running one ' +
        'that may be written to: npm run bench -- --redis redis://127.0.0.1:6379'
    )
  }
  const port = await freePort()
  // a rewrite of the append-only file would fall into somebody's window, and not into everybody's
  const persistence = ['--save', '', '--appendonly', 'yes', '--auto-aof-rewrite-percentage', '0', '--dir', folder]
  launch(program, ['--port', String(port), '--bind', '127.0.0.1', ...persistence], { stdio: 'ignore' })
  return `redis://127.0.0.1:${port}`
}

async function versionOf(url: string): Promise<string> {
  const client = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: (tries) => (tries < 100 ? 50 : null) })
  let why = 'it did not answer'
  client.on('error', (error: Error) => {
    why = error.message
  })
  try {
    const info = await client.info('server')
    const version = /^(?:valkey|redis)_version:(\S+)/m.exec(info)?.[1] ?? 'unknown'
    return /^server_name:valkey/m.test(info) ? `Valkey ${/^valkey_version:(\S+)/m.exec(info)?.[1]}` : `Redis ${version}`
  } catch (error) {
    throw new BenchError(`Redis cannot be used: ${why} (${(error as Error).message}).`)
  } finally {
    client.disconnect()
  }
}

function onPath(name: string): string | undefined {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name))
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return statSync(file).isFile()
    } catch {
      return false
    }
  })
}
