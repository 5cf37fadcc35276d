import type { HostRequests } from '../ipc/host-messages.ts'
import type { Refusal } from '../ipc/messages.ts'
import { HostRegistry } from '../state/hosts/host-registry.ts'
import { RolloutStore } from '../state/hosts/rollout-store.ts'
import type { RedisConnection } from '../state/redis/redis-connection.ts'
import { retryUntilTimeout } from '../state/redis/retry.ts'
import type { PrimaryChannel } from './primary-client.ts'

/** Answers the primary's requests about all hosts: the primary has no connection to Redis. */
export function answerHostRequests(channel: PrimaryChannel, connection: RedisConnection): void {
  const registry = new HostRegistry(connection)
  const rollouts = new RolloutStore(connection)
  const respond = <Name extends keyof HostRequests>(
    name: Name,
    handle: (args: HostRequests[Name]['args']) => Promise<HostRequests[Name]['result']>
  ) => {
    const answer = (args: HostRequests[Name]['args']): Promise<HostRequests[Name]['result'] | Refusal> =>
      retryUntilTimeout(connection, () => handle(args)).catch(() => ({
        refused: { statusCode: 503, message: 'Redis is away' }
      }))
    channel.respond(name, answer as never)
  }
  respond('host-beat', ({ report, ttlMs }) => registry.beat(report, ttlMs).then(() => null))
  respond('hosts-list', () => registry.list())
  respond('rollout-take', ({ token, ticket, ttlMs }) => rollouts.take(token, ticket, ttlMs))
  respond('rollout-renew', ({ token }) => rollouts.renew(token))
  respond('rollout-release', ({ token }) => rollouts.release(token).then(() => null))
  respond('rollout-record', ({ record, fence }) => rollouts.record(record, fence))
}
