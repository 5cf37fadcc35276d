import { randomUUID } from 'node:crypto'
import { deepFreeze } from '../../common/deep-freeze.ts'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import { object, oneOf, type Schema, type Static } from '../../common/json-schema.ts'
import { type Issue, issueOf } from '../../common/json-schema-check.ts'
import type { Logger } from '../../common/log.ts'
import { LOG_LEVELS } from '../../common/log-levels.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { channelOf, type Subscription } from '../redis/subscription.ts'
import { toJson } from './json-payload.ts'

/** The settings of the service itself: what each may be, and what it is when it was never set. */
export const SERVICE_SETTINGS = object({
  maintenance: { type: 'boolean', default: false, description: 'every route answers 503 MAINTENANCE' },
  banner: { type: 'string', maxLength: 500, default: '', description: 'text on top of the page' },
  logLevel: {
    anyOf: [...oneOf(...LOG_LEVELS).anyOf, { type: 'null' }],
    default: null,
    description: 'lowest level that workers log; null: as LOG_LEVEL says'
  }
})
type ServiceSettings = Static<typeof SERVICE_SETTINGS>
/** Of the service's own settings the type is known, of declared ones it is what {@link Settings.declare} returns. */
type ValueOf<K extends string> = K extends keyof ServiceSettings ? ServiceSettings[K] : unknown

/** The field of the hash, beside the JSON of each setting by its name, that counts how often anything was ever set. */
const VERSION = '@version'
/**
 * The field with the random name of the last write. After a failover that lost writes, other writes make the same versions
 * again: what differs then is this.
 */
const WRITE = '@write'
const NAME = /^[a-zA-Z][\w.-]{0,63}$/

const SET = `
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], '${WRITE}', ARGV[4])
local version = redis.call('HINCRBY', KEYS[1], '${VERSION}', 1)
redis.call('PUBLISH', ARGV[3], version .. ' ' .. ARGV[4])
return version`

type Client = RedisClient & {
  musterSetSetting(key: string, name: string, json: string, channel: string, write: string): Promise<number>
}

interface Setting {
  schema: Schema
  fallback: unknown
  /** As it is stored; undefined: it is not. */
  json: string | undefined
  value: unknown
}

type Listener = (key: string, value: unknown) => unknown

/**
 * The shared variable: set anywhere, kept in Redis, read in every worker without asking anybody. A change is announced
 * and read at once; an announcement that was missed is made good by {@link check}.
 */
export class Settings {
  readonly #link: RedisConnection
  readonly #client: Client
  readonly #key: string
  readonly #channel: string
  readonly #log: Logger
  readonly #settings = new Map<string, Setting>()
  readonly #listeners = new Set<Listener>()
  #stored = new Map<string, string>()
  #version = 0
  #revision = revisionOf()

  constructor(link: RedisConnection, subscription: Subscription, log: Logger) {
    this.#link = link
    this.#log = log
    this.#key = link.keys.of('settings')
    this.#channel = channelOf(link, 'settings')
    link.client.defineCommand('musterSetSetting', { numberOfKeys: 1, lua: SET })
    this.#client = link.client as Client
    for (const [key, schema] of Object.entries(SERVICE_SETTINGS.properties)) {
      this.#add(key, schema, schema.default)
    }
    subscription.on(this.#channel, async (revision) => {
      if (revision !== this.#revision) await this.read().catch(() => {})
    })
    subscription.onBegin = () => this.read()
  }

  /** Of the values here; 0: nothing was ever set, or Redis was never there. */
  get version(): number {
    return this.#version
  }

  /** Version and last write of the values here: two workers with the same revision have the same values. */
  get revision(): string {
    return this.#revision
  }

  /** The value as this worker knows it: the last one read while Redis is away, its default when there was none. */
  get<K extends string>(key: K): ValueOf<K> {
    return this.#known(key).value as ValueOf<K>
  }

  all(): Record<string, unknown> {
    return Object.fromEntries([...this.#settings].map(([key, { value }]) => [key, value]))
  }

  /**
   * Makes a setting known here. What is stored and does not fit the schema counts as not set.
   * @param schema any JSON schema; one that is written `as const` gives the setting its type
   * @returns reads it
   */
  declare<const S extends Schema>(key: string, schema: S, fallback: Static<S>): () => Static<S> {
    if (!NAME.test(key)) throw new Error(`a setting cannot be called "${key}": letters, digits, ".", "_" and "-" only`)
    if (this.#settings.has(key)) throw new Error(`there is a setting "${key}" already`)
    if (issueOf(schema, fallback)) throw new Error(`the default of the setting "${key}" does not fit its schema`)
    const setting = this.#add(key, schema, fallback)
    this.#take(key, setting)
    return () => setting.value as Static<S>
  }

  /**
   * Sets it for every worker of every host. This one has it when this resolves.
   * @returns the version that it made
   * @throws HttpError 404 for a key that is not known here, 400 for a value that does not fit, 503 while Redis is away
   * (when that began meanwhile, it may have been set)
   */
  async set<K extends string>(key: K, value: ValueOf<K>): Promise<number> {
    const { schema } = this.#known(key)
    const json = toJson(value, `The setting "${key}"`)
    const fault = issueOf(schema, JSON.parse(json))
    if (fault) throw new HttpError(400, 'INVALID_SETTING', `The setting "${key}" ${describe(fault, schema)}`)
    if (!this.#link.up) throw stateUnavailable(this.#link.cause)
    try {
      const version = await this.#client.musterSetSetting(this.#key, key, json, this.#channel, randomUUID())
      await this.read()
      return version
    } catch (error) {
      throw stateUnavailable(error)
    }
  }

  /** What somebody typed: JSON where that fits the schema, else the text as it is. */
  parse(key: string, text: string): unknown {
    try {
      const value: unknown = JSON.parse(text)
      if (!issueOf(this.#known(key).schema, value)) return value
    } catch (error) {
      if (error instanceof HttpError) throw error
    }
    return text
  }

  /** Calls with each change, or with those of one setting; not with what is there already. @returns ends that */
  onChange(listener: Listener): () => void
  onChange<K extends string>(key: K, listener: (value: ValueOf<K>) => unknown): () => void
  onChange(keyOrListener: string | Listener, listener?: (value: never) => unknown): () => void {
    const heard: Listener =
      typeof keyOrListener === 'string'
        ? (key, value) => (key === keyOrListener ? listener!(value as never) : undefined)
        : keyOrListener
    if (typeof keyOrListener === 'string') this.#known(keyOrListener)
    this.#listeners.add(heard)
    return () => void this.#listeners.delete(heard)
  }

  /** Reads all of them, at once and with their version. */
  async read(): Promise<void> {
    // Answers come in the order of the questions, so an older one never undoes a newer one.
    const stored = new Map(Object.entries(await this.#client.hgetall(this.#key)))
    this.#version = Number(stored.get(VERSION) ?? 0)
    this.#revision = revisionOf(stored.get(VERSION), stored.get(WRITE))
    this.#stored = stored
    const changed = [...this.#settings].filter(([key, setting]) => this.#take(key, setting))
    for (const [key, { value }] of changed)
      for (const listener of this.#listeners) void this.#tell(listener, key, value)
  }

  /** Reads them when Redis has other ones, its own loss of data included: one cheap command, and none while it is away. */
  async check(): Promise<void> {
    if (!this.#link.up) return
    const [version, write] = await this.#client.hmget(this.#key, VERSION, WRITE)
    if (revisionOf(version, write) !== this.#revision) await this.read()
  }

  #add(key: string, schema: Schema, given: unknown): Setting {
    const fallback = deepFreeze(structuredClone(given))
    const setting: Setting = { schema, fallback, json: undefined, value: fallback }
    this.#settings.set(key, setting)
    return setting
  }

  #known(key: string): Setting {
    const setting = this.#settings.get(key)
    if (setting) return setting
    const known = [...this.#settings.keys()].join(', ')
    throw new HttpError(404, 'UNKNOWN_SETTING', `There is no setting "${key}"; there are ${known}`)
  }

  /** @returns whether what is stored changed the value */
  #take(key: string, setting: Setting): boolean {
    const json = this.#stored.get(key)
    if (json === setting.json) return false
    const before = JSON.stringify(setting.value)
    setting.json = json
    setting.value = setting.fallback
    if (json !== undefined) {
      const value = parseJson(json)
      if (!issueOf(setting.schema, value)) setting.value = deepFreeze(value)
      else this.#log.warn({ setting: key }, 'a stored setting does not fit its schema: its default counts')
    }
    return JSON.stringify(setting.value) !== before
  }

  async #tell(listener: Listener, key: string, value: unknown): Promise<void> {
    try {
      await listener(key, value)
    } catch (error) {
      this.#log.error({ err: error, setting: key }, 'a listener of settings failed')
    }
  }
}

/** As it is announced. Other releases of the service may write no name of the write. */
function revisionOf(version?: string | null, write?: string | null): string {
  return `${version ?? 0} ${write ?? ''}`
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function describe({ message, instancePath }: Issue, schema: Schema): string {
  const { anyOf } = schema as { anyOf?: { const?: unknown; type?: string }[] }
  const choices = anyOf?.map((choice) => (choice.type === 'null' ? 'null' : choice.const))
  if (choices?.every((choice) => choice !== undefined)) return `must be one of ${choices.join(', ')}`
  return instancePath ? `at ${instancePath} ${message}` : message
}
