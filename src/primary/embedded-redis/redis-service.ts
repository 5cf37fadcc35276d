import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import { sessionSecretFile } from '../host/run-directory.ts'
import { adoptEmbeddedRedis, type EmbeddedRedis, startEmbeddedRedis } from './run-redis.ts'

/** The Redis that workers use: the one that REDIS_URL names, or an embedded one. */
export class RedisService {
  readonly #config: Config
  readonly #onPid: (pid: number, alive: boolean) => void
  readonly #log: Logger
  #url: string | undefined
  #secretFile: string | undefined
  #embedded: EmbeddedRedis | undefined
  /** The pipes of what an embedded Redis writes that another primary supervises. */
  #output: object[] = []

  /** @param onPid called when a process of the embedded Redis starts and when it has ended */
  constructor(config: Config, onPid: (pid: number, alive: boolean) => void, log: Logger) {
    this.#config = config
    this.#onPid = onPid
    this.#log = log
    this.#url = config.redis.url
  }

  /** Undefined until an embedded Redis is up. */
  get url(): string | undefined {
    return this.#url
  }

  /** What the service uses, for people. Names no URL, which may contain a password. */
  get description(): string {
    if (this.#embedded) return `${this.#embedded.product} (embedded)`
    return this.#config.redis.url ? 'Redis of REDIS_URL' : 'Redis (embedded)'
  }

  /** File of the session secret that was generated beside the embedded Redis; undefined if a secret is configured. */
  get sessionSecretFile(): string | undefined {
    return this.#secretFile
  }

  /** Where the embedded Redis of this primary listens; undefined if it runs none. */
  get embeddedSocket(): string | undefined {
    return this.#embedded?.socketPath
  }

  /**
   * Starts the embedded Redis unless REDIS_URL is set or there is none.
   * @param running where the embedded Redis of another primary listens: it is used, and {@link adopt} supervises it
   * @throws StartupError
   */
  async start(running?: string): Promise<void> {
    if (this.#config.redis.url || this.#config.redis.off) return
    if (running) this.#url = `unix://${running}`
    else this.#supervise(await startEmbeddedRedis(this.#options))
    if (!this.#config.session.secrets) this.#secretFile = sessionSecretFile(this.#config.runDir)
  }

  /** The pipes of what the embedded Redis writes, for a primary that replaces this one. */
  get output(): object[] {
    return this.#embedded?.output ?? []
  }

  /**
   * Supervises the embedded Redis of the other primary from now on, or one in its place if it has ended.
   * @param output the pipes of what it writes; by default those that this primary has kept at {@link release}
   * @throws StartupError
   */
  async adopt(output = this.#output): Promise<void> {
    this.#output = []
    if (!this.#config.redis.url && !this.#config.redis.off && !this.#embedded) {
      this.#supervise(await adoptEmbeddedRedis(this.#options, output))
    } else for (const pipe of output as { close(): void }[]) pipe.close()
  }

  /** Leaves the embedded Redis to another primary. */
  release(): void {
    this.#output = this.#embedded?.release() ?? []
    this.#embedded = undefined
  }

  /** Stops the embedded Redis, if there is one; its data is on disk afterwards. */
  async stop(): Promise<void> {
    await this.#embedded?.stop()
  }

  get #options() {
    const { runDir, cacheDir, searchPath, redis } = this.#config
    return { runDir, cacheDir, path: searchPath, log: this.#log, fsync: redis.fsync, onPid: this.#onPid }
  }

  #supervise(embedded: EmbeddedRedis): void {
    this.#embedded = embedded
    this.#url = `unix://${embedded.socketPath}`
  }
}
