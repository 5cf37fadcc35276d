import { isIP } from 'node:net'

export interface RedisNode {
  host: string
  port: number
}

/** The credentials, and whether the connection uses TLS. */
interface Access {
  tls: boolean
  username?: string
  password?: string
}

/** A parsed REDIS_URL. */
export type RedisTarget =
  | { kind: 'socket'; path: string }
  | (Access & RedisNode & { kind: 'server'; db: number })
  | (Access & {
      kind: 'sentinel'
      sentinels: RedisNode[]
      /** The name of the primary at the sentinels. */
      name: string
      db: number
      /** The credentials for the sentinels, which have users of their own. */
      sentinelUsername?: string
      sentinelPassword?: string
    })
  | (Access & { kind: 'cluster'; nodes: RedisNode[] })

export const REDIS_URL_FORMS =
  'redis://, rediss:// or unix:///path, redis+sentinel://host,host/name or redis+cluster://host,host'

const URL_PARTS = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/
const HOST_PARTS = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/
const REDIS_PORT = 6379
const SENTINEL_PORT = 26379

/**
 * Parses `redis[s]://[user:password@]host[:port][/db]`, `unix:///path`,
 * `redis[s]+sentinel://[user:password@]host[:port],…/name[/db][?sentinelUsername=…&sentinelPassword=…]` and
 * `redis[s]+cluster://[user:password@]host[:port],…`. User, password and name are percent-encoded.
 * @throws Error whose message completes "REDIS_URL …". It shows no part of the URL, which may contain a password
 */
export function parseRedisUrl(url: string): RedisTarget {
  if (/^unix:\/\/\/./.test(url)) return { kind: 'socket', path: url.slice('unix://'.length) }
  const [, tls, form, login, hosts = '', path = '', query = ''] = URL_PARTS.exec(url) ?? []
  if (hosts === '') throw new Error(`must be ${REDIS_URL_FORMS}, with user and password percent-encoded`)
  const access = { tls: tls === 's', ...loginOf(login) }
  const parts = path === '' ? [] : path.split('/')
  if (form !== 'sentinel' && query !== '') throw new Error('takes no ?options in this form')
  switch (form) {
    case 'cluster':
      if (parts.length > 0) throw new Error('names a database, but a Cluster has only number 0')
      return { kind: 'cluster', nodes: nodesOf(hosts, REDIS_PORT), ...access }
    case 'sentinel': {
      const name = decode(parts[0] ?? '')
      if (name === '') throw new Error('must name the primary after the sentinels: …/mymaster')
      const sentinels = nodesOf(hosts, SENTINEL_PORT)
      return { kind: 'sentinel', sentinels, name, db: dbOf(parts.slice(1)), ...access, ...sentinelLoginOf(query) }
    }
    default: {
      const [node, ...more] = nodesOf(hosts, REDIS_PORT)
      if (!node || more.length > 0) throw new Error('names several hosts: use redis+sentinel:// or redis+cluster://')
      return { kind: 'server', ...node, db: dbOf(parts), ...access }
    }
  }
}

function loginOf(login: string | undefined): Pick<Access, 'username' | 'password'> {
  if (!login) return {}
  const colon = login.indexOf(':')
  const username = decode(colon < 0 ? login : login.slice(0, colon))
  const password = colon < 0 ? '' : decode(login.slice(colon + 1))
  if (password === '') throw new Error('has a user without a password: write user:password@ or :password@')
  return { password, ...(username !== '' && { username }) }
}

function sentinelLoginOf(query: string): { sentinelUsername?: string; sentinelPassword?: string } {
  const options = Object.fromEntries(new URLSearchParams(query))
  const { sentinelUsername, sentinelPassword, ...unknown } = options
  if (Object.keys(unknown).length > 0)
    throw new Error('has an unknown option: only sentinelUsername and sentinelPassword are allowed')
  if (sentinelUsername && !sentinelPassword) throw new Error('has a sentinelUsername without a sentinelPassword')
  return { ...(sentinelUsername && { sentinelUsername }), ...(sentinelPassword && { sentinelPassword }) }
}

function nodesOf(hosts: string, defaultPort: number): RedisNode[] {
  return hosts.split(',').map((text) => {
    const [, address = '', name = '', digits] = HOST_PARTS.exec(text) ?? []
    const port = Number(digits ?? defaultPort)
    if (isIP(address) !== 6 && !/^[\w.-]+$/.test(name)) throw new Error('has an invalid host or port')
    if (port < 1 || port > 65535) throw new Error('has an invalid port: it must be from 1 to 65535')
    return { host: address || name, port }
  })
}

function dbOf(parts: string[]): number {
  const [db = '', ...more] = parts
  if (more.length > 0 || !/^\d{0,5}$/.test(db)) throw new Error('has a path that is not a database number')
  return Number(db)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('has an invalid percent-encoding')
  }
}
