import { environmentSchema } from '../../config/environment-schema.ts'

const NAME = /^[a-z0-9._-]{1,64}$/

/** Names of keys and channels in Redis. Services with different prefixes can share one Redis without sharing data. */
export class Keys {
  readonly prefix: string

  /** @param prefix as REDIS_PREFIX allows it: it ends with a colon and has no braces, which would change the hash slot */
  constructor(prefix: string = environmentSchema.properties.REDIS_PREFIX.default) {
    this.prefix = prefix
  }

  /** Returns the key of something that the service itself named. */
  of(name: string): string {
    return `${this.prefix}${name}`
  }

  /**
   * Returns the key of something that the app named. A name contains no colon and no brace, so it never equals a key of the
   * service itself, and helper keys `{key}:…` are in the same hash slot.
   * @throws TypeError when the name is not 1 to 64 characters of a-z, 0-9, ".", "_" and "-"
   */
  named(kind: 'counter' | 'lock' | 'once' | 'every', name: string): string {
    if (typeof name === 'string' && NAME.test(name)) return this.of(`${kind}:${name}`)
    throw new TypeError(
      `${kind}: the name ${JSON.stringify(name)} is not valid: use 1 to 64 characters of a-z, 0-9, ".", "_" and "-"`
    )
  }
}
