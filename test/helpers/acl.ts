import { readFileSync } from 'node:fs'
import type { RedisServer } from './redis-server.ts'

const page = readFileSync(new URL('../../../docs/how-to/redis.md', import.meta.url), 'utf8')

/** What there may be beside one plain server. */
type Beside = 'Sentinel' | 'Cluster' | 'a database other than 0' | 'REDIS_DURABILITY'

/**
 * The user that docs/how-to/redis.md shows, as the value of the setting `user`; its password is `secret`.
 * @param beside what there is beside one plain server, or several such things: their rights are added
 * @param prefix as REDIS_PREFIX has it, in place of the one in the page
 */
export function documentedUser(beside: Beside | Beside[] = [], prefix = 'muster:'): string {
  const [, rule] = /^user (muster on >PASSWORD .*)$/m.exec(page) ?? []
  const more = [beside].flat().map((what) => new RegExp(`^- ${what}: \`(.*)\`$`, 'm').exec(page)?.[1])
  if (!rule || more.includes(undefined)) throw new Error(`docs/how-to/redis.md shows no user for ${beside}`)
  return [rule.replace('>PASSWORD', '>secret').replaceAll('muster:', prefix), ...more].join(' ')
}

/** The commands and keys that ACL rules of this server denied, from its ACL log. */
export async function denied({ client }: RedisServer): Promise<string[]> {
  const entries = (await client.acl('LOG')) as unknown[][]
  return entries.map((entry) => {
    const fields = new Map(entry.flatMap((name, i) => (i % 2 === 0 ? [[name, entry[i + 1]] as const] : [])))
    return `${fields.get('reason')} ${fields.get('object')}`
  })
}
