import { createHash, randomBytes } from 'node:crypto'
import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/** Notes who signs cookies, for ARGV[2] ms, and answers everybody who was noted. By the clock of Redis. */
const NOTE_SIGNER = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)`

type Client = RedisClient & { musterNoteSigner(key: string, fingerprint: string, keepMs: number): Promise<string[]> }

/** How often workers see that they agree, in ms. */
const CHECK_MS = 5000

/**
 * The secrets that sign and verify session cookies: those of the configuration, or one that is made once and kept beside the
 * sessions that it signs, so that every host on this Redis agrees and sessions survive a restart.
 */
export class SessionSecrets {
  /** The first signs, all verify; empty until the shared one has been read. */
  readonly list: string[]
  readonly #given: boolean
  readonly #client: Client
  readonly #keys: RedisConnection['keys']
  readonly #log: Logger | undefined
  readonly #warned = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param log undefined: another worker of this host speaks for all
   * @param given of the configuration; undefined: the shared one is used
   */
  constructor(link: RedisConnection, log: Logger | undefined, given: readonly string[] | undefined) {
    link.client.defineCommand('musterNoteSigner', { numberOfKeys: 1, lua: NOTE_SIGNER })
    this.list = [...(given ?? [])]
    this.#given = this.list.length > 0
    this.#client = link.client as Client
    this.#keys = link.keys
    this.#log = log
  }

  /** Sees to it that all workers on this Redis sign alike: to be called at every connection, since Redis may have lost its data. */
  async check(): Promise<void> {
    if (!this.#given) await this.#share()
    await this.#compare()
  }

  /** Checks every few seconds, as another host may have started or Redis may have been emptied. */
  watch(): void {
    this.#timer = setInterval(() => {
      this.check().catch(() => {})
    }, CHECK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Puts this worker's secret into Redis when there is none, and adopts the one that is there. */
  async #share(): Promise<void> {
    const key = this.#keys.of('session-secret')
    const [own] = this.list
    await this.#client.set(key, own ?? randomBytes(32).toString('hex'), 'NX')
    const secret = await this.#client.get(key)
    if (!secret) throw new Error(`${key} is not in Redis though it was just put there`)
    if (secret === own) return
    if (own !== undefined) this.#log?.warn('another session secret is in Redis: it signs from now on')
    // What the last one signed is verified on.
    this.list.splice(0, this.list.length, secret, ...(own === undefined ? [] : [own]))
  }

  /** Warns when workers sign whose cookies are not valid here. */
  async #compare(): Promise<void> {
    const fingerprints = this.list.map(fingerprintOf)
    const key = this.#keys.of('session-secret:signers')
    const signers = await this.#client.musterNoteSigner(key, fingerprints[0]!, 3 * CHECK_MS)
    // Workers without a secret of their own adopt that of Redis; they disagree for seconds at most.
    if (!this.#given) return
    for (const signer of signers) {
      if (fingerprints.includes(signer) || this.#warned.has(signer)) continue
      this.#warned.add(signer)
      this.#log?.warn(
        { own: fingerprints[0], other: signer },
        'another host on this Redis signs sessions with a secret that SESSION_SECRET does not have here: visitors lose their sessions between the two. Give all hosts the same SESSION_SECRET, or each service a REDIS_PREFIX of its own'
      )
    }
  }
}

/** Tells secrets apart and does not give them away: they have 32 characters or more. */
const fingerprintOf = (secret: string): string =>
  createHash('sha256').update(`session secret ${secret}`).digest('hex').slice(0, 12)
