import { once } from 'node:events'
import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { launch } from './processes.ts'
import { BenchError, type RunningRedis } from './scenario.ts'
import { freePort } from './servers.ts'

/** How long a replica may take to catch up, in ms. */
const PATIENCE_MS = 30_000

/** Uses the Redis at `url`, or starts one for this run in `folder`: loopback, append-only file, no snapshots. */
export async function provideRedis(url: string | undefined, folder: string): Promise<RunningRedis> {
  const address = url ?? (await startRedis(folder))
  return { url: address, version: await versionOf(address) }
}

/** A number from INFO. @param section of INFO @param field in that section */
export async function infoOf(url: string, section: string, field: string): Promise<number> {
  const client = new Redis(url)
  try {
    return Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(await client.info(section))?.[1])
  } finally {
    client.disconnect()
  }
}

/** Starts a Redis that ends with the bench. @param more further arguments @returns its URL */
export async function startRedis(folder: string, more: readonly string[] = []): Promise<string> {
  const program = onPath('redis-server') ?? onPath('valkey-server')
  if (!program) {
    throw new BenchError(
      'A Redis is needed and neither redis-server nor valkey-server is on PATH. Install one, or name a running one ' +
        'that may be written to: npm run bench -- --redis redis://127.0.0.1:6379'
    )
  }
  const port = await freePort()
  // No rewrite of the append-only file: it would slow down one measurement and not the others.
  const persistence = ['--save', '', '--appendonly', 'yes', '--auto-aof-rewrite-percentage', '0', '--dir', folder]
  launch(program, ['--port', String(port), '--bind', '127.0.0.1', ...persistence, ...more], { stdio: 'ignore' })
  return `redis://127.0.0.1:${port}`
}

/** Starts a Redis with one replica that has caught up. Both end with the bench. @returns the URL of the primary */
export async function startReplicated(folder: string): Promise<string> {
  const folders = ['primary', 'replica'].map((name) => join(folder, name))
  for (const own of folders) mkdirSync(own)
  const url = await startRedis(folders[0]!)
  await versionOf(url)
  await startRedis(folders[1]!, ['--replicaof', '127.0.0.1', new URL(url).port, '--repl-diskless-sync-delay', '0'])
  const client = new Redis(url)
  try {
    await client.set('bench:replicated', '1')
    if ((await client.wait(1, PATIENCE_MS)) < 1) throw new BenchError('The replica did not catch up in time.')
  } finally {
    client.disconnect()
  }
  return url
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

/** Redis commands that clients sent, and those that scripts ran inside Redis. */
export interface Commands {
  readonly sent: number
  readonly inScripts: number
}

const LINE = /^\+[\d.]+ \[\d+ (lua)?/

/**
 * Counts commands with MONITOR, because INFO does not distinguish commands of clients from commands of scripts. It uses a
 * socket of its own, because ioredis fails when the first lines arrive together with the reply to MONITOR. MONITOR slows
 * Redis down, so nothing is timed meanwhile.
 */
export class Monitor {
  /** Receives the words of every command that a client sends. */
  onCommand: ((words: string[]) => void) | undefined
  readonly #socket: Socket
  #sent = 0
  #inScripts = 0

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Resolves when counting has begun. @param url of a Redis that listens on TCP */
  static async open(url: string): Promise<Monitor> {
    const { hostname, port, username, password } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port || 6379) })
    await once(socket, 'connect')
    const monitor = new Monitor(socket)
    const lines = createInterface({ input: socket })
    const watching = once(lines, 'line')
    lines.on('line', (line) => monitor.#take(line))
    if (password) socket.write(`AUTH ${[username, password].filter(Boolean).map(decodeURIComponent).join(' ')}\r\n`)
    socket.write('MONITOR\r\n')
    await watching
    return monitor
  }

  /** The counts so far. */
  seen(): Commands {
    return { sent: this.#sent, inScripts: this.#inScripts }
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(line: string): void {
    const found = LINE.exec(line)
    if (!found) return
    if (found[1] !== undefined) this.#inScripts++
    else {
      this.#sent++
      this.onCommand?.([...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word))
    }
  }
}
