import { createHash, randomBytes } from 'node:crypto'
import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/** Records a signer, ARGV[1], for ARGV[2] ms, and returns all recorded ones. Times are those of Redis' clock. */
const RECORD_SIGNER = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)`

type Client = RedisClient & { musterNoteSigner(key: string, fingerprint: string, keepMs: number): Promise<string[]> }

/** The pause between checks that all workers sign with the same secret, in ms. */
const CHECK_MS = 5000

/**
 * The secrets that sign and verify session cookies: those of SESSION_SECRET, or one that the first worker generates and stores in
 * Redis beside the sessions. All hosts on one Redis share it, and sessions survive a restart.
 */
export class SessionSecrets {
  /** The first one signs, all verify. Empty until the shared secret has been read. */
  readonly list: string[]
  readonly #isConfigured: boolean
  readonly #client: Client
  readonly #keys: RedisConnection['keys']
  readonly #log: Logger | undefined
  /** Fingerprints of other signers that were logged. */
  readonly #logged = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param log undefined: another worker of this host logs for all
   * @param configured from SESSION_SECRET; undefined: the shared secret is used
   */
  constructor(connection: RedisConnection, log: Logger | undefined, configured: readonly string[] | undefined) {
    connection.client.defineCommand('musterNoteSigner', { numberOfKeys: 1, lua: RECORD_SIGNER })
    this.list = [...(configured ?? [])]
    this.#isConfigured = this.list.length > 0
    this.#client = connection.client as Client
    this.#keys = connection.keys
    this.#log = log
  }

  /** Makes all workers on this Redis sign alike; to be called after each outage, since Redis may have lost its data. */
  async check(): Promise<void> {
    if (!this.#isConfigured) await this.#share()
    await this.#compare()
  }

  /** Checks every few seconds, because another host may have started or Redis may have been emptied. */
  watch(): void {
    this.#timer = setInterval(() => {
      this.check().catch(() => {})
    }, CHECK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Stores this worker's secret in Redis where there is none, and adopts the one that is there. */
  async #share(): Promise<void> {
    const key = this.#keys.of('session-secret')
    const [own] = this.list
    await this.#client.set(key, own ?? randomBytes(32).toString('hex'), 'NX')
    const secret = await this.#client.get(key)
    if (!secret) throw new Error(`${key} disappeared from Redis right after it was written`)
    if (secret === own) return
    if (own !== undefined) this.#log?.warn('session secret replaced by the one in Redis')
    // Cookies that the previous secret signed stay valid.
    this.list.splice(0, this.list.length, secret, ...(own === undefined ? [] : [own]))
  }

  /** Warns when another worker signs with a secret that this one cannot verify. */
  async #compare(): Promise<void> {
    const fingerprints = this.list.map(fingerprintOf)
    const key = this.#keys.of('session-secret:signers')
    const signers = await this.#client.musterNoteSigner(key, fingerprints[0]!, 3 * CHECK_MS)
    // Workers without SESSION_SECRET adopt the secret of Redis, so they differ for seconds at most.
    if (!this.#isConfigured) return
    for (const signer of signers) {
      if (fingerprints.includes(signer) || this.#logged.has(signer)) continue
      this.#logged.add(signer)
      this.#log?.warn({ own: fingerprints[0], other: signer }, DIFFERENT_SECRETS)
    }
  }
}

const DIFFERENT_SECRETS =
  'hosts on this Redis sign sessions with different secrets: give all hosts the same SESSION_SECRET, or each service its own REDIS_PREFIX'

/** Returns a text that tells secrets apart without revealing them: they have at least 32 characters. */
const fingerprintOf = (secret: string): string =>
  createHash('sha256').update(`session secret ${secret}`).digest('hex').slice(0, 12)
