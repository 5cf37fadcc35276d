import { randomUUID } from 'node:crypto'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import type { Schema, Static } from '../../common/json-schema.ts'
import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { channelOf, type Subscription } from '../redis/subscription.ts'
import { toJson } from './json-payload.ts'
import { SERVICE_SETTINGS, type ValueOf } from './service-settings.ts'
import { Setting } from './setting.ts'

/** The field of the hash that counts all writes. The other fields are the JSON of each setting by its name. */
const VERSION = '@version'
/**
 * The field with a random name of the last write. After a failover that lost writes, new writes get the same versions again, but
 * another name.
 */
const WRITE = '@write'
const NAME = /^[a-zA-Z][\w.-]{0,63}$/

/** Stores one setting and announces the new revision. Returns the new version. ARGV: name, JSON, channel, name of the write. */
const SET = `
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], '${WRITE}', ARGV[4])
local version = redis.call('HINCRBY', KEYS[1], '${VERSION}', 1)
redis.call('PUBLISH', ARGV[3], version .. ' ' .. ARGV[4])
return version`

type Client = RedisClient & {
  musterSetSetting(key: string, name: string, json: string, channel: string, write: string): Promise<number>
}

/** Is called with the name and the new value of a setting that has changed. Its errors are logged. */
type Listener = (key: string, value: unknown) => unknown

/**
 * Values that operators change at run time: set anywhere, stored in Redis, and read by every worker from its own copy. A change is
 * announced, and read at once; {@link check} makes up for announcements that were missed.
 */
export class Settings {
  readonly #connection: RedisConnection
  readonly #client: RedisClient
  readonly #writes: Client
  readonly #key: string
  readonly #channel: string
  readonly #log: Logger
  readonly #settings = new Map<string, Setting>()
  readonly #listeners = new Set<Listener>()
  /** The hash as it was last read. */
  #stored = new Map<string, string>()
  #version = 0
  #revision = revisionOf()

  constructor(connection: RedisConnection, subscription: Subscription, log: Logger) {
    this.#connection = connection
    this.#log = log
    this.#key = connection.keys.of('settings')
    this.#channel = channelOf(connection, 'settings')
    connection.writes.defineCommand('musterSetSetting', { numberOfKeys: 1, lua: SET })
    this.#client = connection.client
    this.#writes = connection.writes as Client
    for (const [key, schema] of Object.entries(SERVICE_SETTINGS.properties)) {
      this.#settings.set(key, new Setting(schema, schema.default))
    }
    subscription.on(this.#channel, async (revision) => {
      if (revision !== this.#revision) await this.read().catch(() => {})
    })
    subscription.onSubscribed = () => this.read()
  }

  /** The version of this worker's copy; 0: no setting was ever set, or this worker has never reached Redis. */
  get version(): number {
    return this.#version
  }

  /** Version and last write of this worker's copy. Two workers with the same revision have the same values. */
  get revision(): string {
    return this.#revision
  }

  /**
   * Returns this worker's copy of a value: the last one that was read, also while Redis is away, or the default.
   * @throws HttpError 404 for an unknown setting
   */
  get<K extends string>(key: K): ValueOf<K> {
    return this.#known(key).value as ValueOf<K>
  }

  /** Returns all settings with their values, by name. */
  all(): Record<string, unknown> {
    return Object.fromEntries([...this.#settings].map(([key, { value }]) => [key, value]))
  }

  /**
   * Returns the JSON schemas of all settings, or of one, by name.
   * @throws HttpError 404 for an unknown setting
   */
  schemas(key?: string): Record<string, Schema> {
    if (key !== undefined) return { [key]: this.#known(key).schema }
    return Object.fromEntries([...this.#settings].map(([name, { schema }]) => [name, schema]))
  }

  /**
   * Declares a setting of the app. A stored value that does not fit the schema counts as not set.
   * @param key a letter, then at most 63 letters, digits, "_", "." and "-"
   * @param schema any JSON schema; one that is written `as const` gives the setting its type
   * @param fallback the value while none is set
   * @returns a function that reads this worker's copy
   * @throws Error for an invalid or used name, or a default that does not fit the schema
   */
  declare<const S extends Schema>(key: string, schema: S, fallback: Static<S>): () => Static<S> {
    if (!NAME.test(key)) throw new Error(`a setting cannot be called "${key}": use letters, digits, ".", "_" and "-"`)
    if (this.#settings.has(key)) throw new Error(`there is a setting "${key}" already: use another name`)
    const setting = new Setting(schema, fallback)
    if (setting.issueOf(fallback)) throw new Error(`the default of the setting "${key}" does not fit its schema`)
    this.#settings.set(key, setting)
    this.#update(key, setting)
    return () => setting.value as Static<S>
  }

  /**
   * Sets a value for every worker of every host. This worker has it when the promise resolves.
   * @returns the new version
   * @throws HttpError 404 for an unknown setting, 400 for a value that does not fit, 503 while Redis is away (if it went away during
   *   the call, the value may have been set)
   */
  async set<K extends string>(key: K, value: ValueOf<K>): Promise<number> {
    const setting = this.#known(key)
    const json = toJson(value, `The setting "${key}"`)
    const issue = setting.issueOf(JSON.parse(json))
    if (issue) throw new HttpError(400, 'INVALID_SETTING', `The setting "${key}" ${issue}`)
    if (!this.#connection.up) throw stateUnavailable(this.#connection.cause)
    try {
      const version = await this.#writes.musterSetSetting(this.#key, key, json, this.#channel, randomUUID())
      await this.read()
      return version
    } catch (error) {
      throw stateUnavailable(error)
    }
  }

  /**
   * Parses the text that an operator typed: as JSON where that fits the schema, else as text.
   * @throws HttpError 404 for an unknown setting
   */
  parse(key: string, text: string): unknown {
    const setting = this.#known(key)
    try {
      const value: unknown = JSON.parse(text)
      return setting.issueOf(value) ? text : value
    } catch {
      return text
    }
  }

  /**
   * Calls the listener after each change of any setting, or of one; not with the current value.
   * @returns a function that removes the listener
   * @throws HttpError 404 for an unknown setting
   */
  onChange(listener: Listener): () => void
  onChange<K extends string>(key: K, listener: (value: ValueOf<K>) => unknown): () => void
  onChange(keyOrListener: string | Listener, listener?: (value: never) => unknown): () => void {
    if (typeof keyOrListener !== 'string') return this.#addListener(keyOrListener)
    this.#known(keyOrListener)
    return this.#addListener((key, value) => (key === keyOrListener ? listener!(value as never) : undefined))
  }

  /** Reads all settings and their version in one command. */
  async read(): Promise<void> {
    // Replies have the order of the commands, so an older one never overwrites a newer one.
    const stored = new Map(Object.entries(await this.#client.hgetall(this.#key)))
    this.#version = Number(stored.get(VERSION) ?? 0)
    this.#revision = revisionOf(stored.get(VERSION), stored.get(WRITE))
    this.#stored = stored
    const changed = [...this.#settings].filter(([key, setting]) => this.#update(key, setting))
    for (const [key, { value }] of changed) {
      for (const listener of this.#listeners) void this.#call(listener, key, value)
    }
  }

  /** Reads the settings if Redis has another revision, for example after it lost data. One cheap command; none while Redis is away. */
  async check(): Promise<void> {
    if (!this.#connection.up) return
    const [version, write] = await this.#client.hmget(this.#key, VERSION, WRITE)
    if (revisionOf(version, write) !== this.#revision) await this.read()
  }

  #known(key: string): Setting {
    const setting = this.#settings.get(key)
    if (setting) return setting
    const names = [...this.#settings.keys()].join(', ')
    throw new HttpError(404, 'UNKNOWN_SETTING', `There is no setting "${key}"; there are ${names}`)
  }

  /** @returns whether the stored JSON has changed the value */
  #update(key: string, setting: Setting): boolean {
    const { isChanged, isInvalid } = setting.update(this.#stored.get(key))
    if (isInvalid) this.#log.warn({ setting: key }, 'stored setting does not fit its schema: using its default')
    return isChanged
  }

  #addListener(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async #call(listener: Listener, key: string, value: unknown): Promise<void> {
    try {
      await listener(key, value)
    } catch (error) {
      this.#log.error({ err: error, setting: key }, 'settings listener failed')
    }
  }
}

/** Returns the revision as it is announced. Other releases of the service may not write a name of the write. */
function revisionOf(version?: string | null, write?: string | null): string {
  return `${version ?? 0} ${write ?? ''}`
}
