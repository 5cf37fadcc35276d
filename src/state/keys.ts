/** Every key of ours begins so; `redis-cli get muster:hits` reads the counter. */
export const PREFIX = 'muster:'

const NAME = /^[a-z0-9._-]{1,64}$/

/**
 * The key of something that a user named. No colon and no brace can be in it: it hits no key of our own, and helper keys
 * `{key}:…` are in one hash slot with it.
 * @throws TypeError when the name is none
 */
export function keyOf(kind: 'counter' | 'lock' | 'once' | 'every', name: string): string {
  if (typeof name === 'string' && NAME.test(name)) return `${PREFIX}${kind}:${name}`
  throw new TypeError(
    `${kind}: a name is 1 to 64 characters of a-z, 0-9, ".", "_" and "-", not ${JSON.stringify(name)}`
  )
}
