import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { findRedis } from '../../src/primary/embedded-redis/find-redis.ts'
import { type Cleans, cleanup } from './cleanup.ts'
import { freePort } from './http.ts'
import { temporaryFolder } from './service.ts'
import { until } from './until.ts'

/** Settings as in redis.conf. */
export type Settings = Record<string, string | number>

/** A redis-server on loopback with the settings of a test. It is ended after the test, whatever its state is. */
export class RedisServer {
  readonly port: number
  readonly folder: string
  /** A client over a Unix socket, so that the test can connect whatever happens to the port. */
  readonly client: Redis
  readonly #settings: Settings
  readonly #clients: Redis[] = []
  #child: ChildProcess | undefined
  #output = ''

  private constructor(t: Cleans, port: number, settings: Settings) {
    this.port = port
    this.folder = temporaryFolder(t)
    const unixsocket = join(this.folder, 'redis.sock')
    const listen = 'tls-cert-file' in settings ? { port: 0, 'tls-port': port } : { port }
    this.#settings = { ...listen, bind: '127.0.0.1', dir: this.folder, unixsocket, save: '""', ...settings }
    this.client = new Redis({ path: unixsocket, lazyConnect: true, enableReadyCheck: false, retryStrategy: () => 20 })
    this.client.on('error', () => {})
    cleanup(t, async () => {
      for (const client of [this.client, ...this.#clients]) client.disconnect()
      await this.end('SIGKILL')
    })
  }

  static async start(t: Cleans, settings: Settings = {}, mode: 'redis' | 'sentinel' = 'redis'): Promise<RedisServer> {
    const server = new RedisServer(t, await freePort(), settings)
    await server.run({}, mode)
    return server
  }

  /** Connects another client; its errors are ignored. */
  connect(): Redis {
    const client = this.client.duplicate({ lazyConnect: false })
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get socketUrl(): string {
    return `unix://${this.#settings.unixsocket}`
  }

  pid(): number {
    return this.#child!.pid!
  }

  /** Starts the server (again), with additional settings. Resolves with its first reply, also LOADING or NOAUTH. */
  async run(additional: Settings = {}, mode: 'redis' | 'sentinel' = 'redis'): Promise<void> {
    const { file, env } = await binary()
    const lines = Object.entries({ ...this.#settings, ...additional }).map(([name, value]) => `${name} ${value}`)
    const config = join(this.folder, 'redis.conf')
    writeFileSync(config, `${lines.join('\n')}\n`)
    const child = spawn(file, [config, ...(mode === 'sentinel' ? ['--sentinel'] : [])], { env })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#output += text))
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`redis-server ended: ${this.#output.slice(-2000)}`)
      const answer = await this.client.ping().catch((error: Error) => error.message)
      return answer === 'PONG' || answer.startsWith('LOADING') || answer.startsWith('NOAUTH')
    }, 'an answer of redis-server')
  }

  /** Resolves when the process has exited. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid(), signal)
  }
}

/** The path and environment of redis-server, looked up once. */
let found: ReturnType<typeof findRedis> | undefined
function binary() {
  const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'muster')
  found ??= findRedis({ cacheDir, path: process.env.PATH ?? '', log: pino({ level: 'silent' }) })
  return found
}
