import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import { sessionSecretFile } from '../host/run-directory.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from './run-redis.ts'

/** The Redis that workers use: the one that REDIS_URL names, or an embedded one. */
export class RedisService {
  readonly #config: Config
  readonly #onPid: (pid: number, alive: boolean) => void
  readonly #log: Logger
  #url: string | undefined
  #secretFile: string | undefined
  #embedded: EmbeddedRedis | undefined

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
    return this.#embedded ? `${this.#embedded.product} (embedded)` : 'Redis of REDIS_URL'
  }

  /** File of the session secret that was generated beside the embedded Redis; undefined if a secret is configured. */
  get sessionSecretFile(): string | undefined {
    return this.#secretFile
  }

  /** Starts the embedded Redis unless REDIS_URL is set or there is none. @throws StartupError */
  async start(): Promise<void> {
    if (this.#url || this.#config.redis.off) return
    const { runDir, cacheDir, searchPath, redis, session } = this.#config
    this.#embedded = await startEmbeddedRedis({
      runDir,
      cacheDir,
      path: searchPath,
      log: this.#log,
      fsync: redis.fsync,
      onPid: this.#onPid
    })
    this.#url = `unix://${this.#embedded.socketPath}`
    if (!session.secrets) this.#secretFile = sessionSecretFile(runDir)
  }

  /** Stops the embedded Redis, if there is one; its data is on disk afterwards. */
  async stop(): Promise<void> {
    await this.#embedded?.stop()
  }
}
