import { documentedUser } from './acl.ts'
import type { Cleans } from './cleanup.ts'
import { RedisServer } from './redis-server.ts'
import { until } from './until.ts'

const NAME = 'mymaster'
const FAILOVER_MS = 180_000

/** Two servers, one of which replicates the other, and a Sentinel that knows both. */
export class SentinelPair {
  readonly sentinel: RedisServer
  #primary: RedisServer
  #replica: RedisServer

  private constructor(primary: RedisServer, replica: RedisServer, sentinel: RedisServer) {
    this.#primary = primary
    this.#replica = replica
    this.sentinel = sentinel
  }

  /**
   * @param options `isConfirmed`: whether the user may wait for the replica, for REDIS_DURABILITY; `downAfterMs`: a primary that is
   *   silent for so long is replaced, which a busy machine does too
   */
  static async start(t: Cleans, { isConfirmed = false, downAfterMs = 500 } = {}): Promise<SentinelPair> {
    const user = documentedUser(isConfirmed ? ['Sentinel', 'REDIS_DURABILITY'] : 'Sentinel')
    const primary = await RedisServer.start(t, { user })
    const replica = await RedisServer.start(t, { user, replicaof: `127.0.0.1 ${primary.port}` })
    await isLinked(replica)
    const settings = {
      'sentinel monitor': `${NAME} 127.0.0.1 ${primary.port} 1`,
      'sentinel down-after-milliseconds': `${NAME} ${downAfterMs}`,
      'sentinel failover-timeout': `${NAME} 3000`
    }
    const sentinel = await RedisServer.start(t, settings, 'sentinel')
    const replicas = () => sentinel.client.call('SENTINEL', 'REPLICAS', NAME) as Promise<unknown[]>
    await until(async () => (await replicas()).length === 1, 'a Sentinel that knows the replica')
    return new SentinelPair(primary, replica, sentinel)
  }

  /** The server that is the primary now. */
  get primary(): RedisServer {
    return this.#primary
  }

  get replica(): RedisServer {
    return this.#replica
  }

  /** REDIS_URL of a service. */
  get url(): string {
    return `redis+sentinel://muster:secret@127.0.0.1:${this.sentinel.port}/${NAME}`
  }

  /** Resolves when the replica has everything that the primary had executed before. */
  async replicated(): Promise<void> {
    await until(async () => {
      await this.#primary.client.set('mark', '')
      return (await this.#primary.client.wait(1, 1000)) === 1
    }, 'a replica that has everything')
  }

  /** Kills the primary, waits until the Sentinel has promoted the replica, and starts the old primary as its replica. */
  async failOverByKill(): Promise<void> {
    const killed = this.#primary
    await killed.end('SIGKILL')
    await this.#replaced(killed)
    await killed.run({ replicaof: `127.0.0.1 ${await this.#primaryPort()}` })
    await this.#settled()
  }

  /** Stops the primary until the Sentinel has promoted the replica. Then the old primary goes on, and does not know it yet. */
  async failOverByStop(): Promise<void> {
    const stopped = this.#primary
    stopped.signal('SIGSTOP')
    try {
      await this.#replaced(stopped)
    } finally {
      stopped.signal('SIGCONT')
    }
    await this.#settled()
  }

  /** Lets the Sentinel promote the replica while both servers run. */
  async failOver(): Promise<void> {
    const demoted = this.#primary
    // Refused while another failover is in progress, or before the Sentinel trusts the replica.
    const ask = () => this.sentinel.client.call('SENTINEL', 'FAILOVER', NAME).catch(() => '')
    await until(async () => (await ask()) === 'OK', 'a Sentinel that begins a failover', FAILOVER_MS)
    await this.#replaced(demoted)
    await this.#settled()
  }

  async #primaryPort(): Promise<number> {
    const address = await this.sentinel.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)
    return Number((address as string[])[1])
  }

  async #replaced({ port }: RedisServer): Promise<void> {
    await until(async () => (await this.#primaryPort()) !== port, 'a promoted replica', FAILOVER_MS)
  }

  /** Resolves when one server replicates the other. On a busy machine the Sentinel may change the roles once more by itself. */
  async #settled(): Promise<void> {
    await until(
      async () => {
        if ((await this.#primaryPort()) === this.#replica.port) {
          const demoted = this.#primary
          this.#primary = this.#replica
          this.#replica = demoted
        }
        const info = await this.#replica.client.info('replication').catch(() => '')
        return info.includes('master_link_status:up') && info.includes(`master_port:${this.#primary.port}`)
      },
      'a replica that has caught up',
      FAILOVER_MS
    )
  }
}

const isLinked = (replica: RedisServer): Promise<void> =>
  until(
    async () => (await replica.client.info('replication')).includes('master_link_status:up'),
    'a replica that has caught up',
    FAILOVER_MS
  )
