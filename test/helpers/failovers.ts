import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { documentedUser } from './acl.ts'
import { RedisServer } from './redis-server.ts'
import { until } from './until.ts'

const NAME = 'mymaster'
const PATIENCE_MS = 120_000
/** Replicas are complete as soon as possible. */
const QUICK = { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': 0, 'repl-ping-replica-period': 1 }

/** A primary, its replicas, and a Sentinel that promotes one of them half a second after the primary has ended. */
export class FailoverGroup {
  readonly #servers: RedisServer[]
  readonly #sentinel: RedisServer

  private constructor(servers: RedisServer[], sentinel: RedisServer) {
    this.#servers = servers
    this.#sentinel = sentinel
  }

  /** @param replicas number of replicas */
  static async start(t: TestContext, replicas: number): Promise<FailoverGroup> {
    const settings = { ...QUICK, user: documentedUser(['Sentinel', 'REDIS_DURABILITY']) }
    const primary = await RedisServer.start(t, settings)
    const replicaof = `127.0.0.1 ${primary.port}`
    const others = Array.from({ length: replicas }, () => RedisServer.start(t, { ...settings, replicaof }))
    const servers = [primary, ...(await Promise.all(others))]
    const sentinel = await RedisServer.start(
      t,
      {
        'sentinel monitor': `${NAME} 127.0.0.1 ${primary.port} 1`,
        'sentinel down-after-milliseconds': `${NAME} 500`,
        'sentinel failover-timeout': `${NAME} 2000`,
        'sentinel parallel-syncs': `${NAME} ${replicas}`
      },
      'sentinel'
    )
    const group = new FailoverGroup(servers, sentinel)
    await group.whole()
    return group
  }

  get url(): string {
    return `redis+sentinel://muster:secret@127.0.0.1:${this.#sentinel.port}/${NAME}`
  }

  get servers(): readonly RedisServer[] {
    return this.#servers
  }

  /** The primary, as the Sentinel knows it. */
  async primary(): Promise<RedisServer> {
    const [, port] = (await this.#sentinel.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as string[]
    const found = this.#servers.find((server) => server.port === Number(port))
    assert.ok(found, `no server at port ${port}`)
    return found
  }

  async replicas(): Promise<RedisServer[]> {
    const primary = await this.primary()
    return this.#servers.filter((server) => server !== primary)
  }

  /** Ends the primary with SIGKILL. Resolves when a replica has been promoted; the old primary is then started as its replica. */
  async failOver(): Promise<void> {
    const killed = await this.primary()
    await killed.end('SIGKILL')
    await until(async () => (await this.primary()) !== killed, 'a promotion', PATIENCE_MS)
    const { port } = await this.primary()
    await killed.run({ replicaof: `127.0.0.1 ${port}` })
  }

  /** Resolves when every replica has caught up and the Sentinel knows all of them. */
  async whole(): Promise<void> {
    const isWhole = async () => {
      const primary = await this.primary()
      const infos = await Promise.all(this.#servers.map(({ client }) => client.info('replication').catch(() => '')))
      const known = (await this.#sentinel.client.call('SENTINEL', 'REPLICAS', NAME)) as string[][]
      const isUp = (replica: string[]) => replica[replica.indexOf('flags') + 1] === 'slave'
      return (
        infos.filter((info) => info.includes('master_link_status:up')).length === this.#servers.length - 1 &&
        (await primary.client.role())[0] === 'master' &&
        known.filter(isUp).length === this.#servers.length - 1
      )
    }
    await until(isWhole, 'a primary with all its replicas', PATIENCE_MS)
  }
}
