import type { FastifyInstance } from 'fastify'
import type { RedisClient } from '../state/redis/redis-connection.ts'

/** The name under which the plugin registers. It fails when `app.redis` has a value. */
const PLUGIN = '@fastify/redis'

/**
 * Decorates the scope of the app with the service's Redis client. Where the app registers @fastify/redis, `app.redis` is that
 * plugin's: it is undefined as soon as the registration begins, and can be set once in each scope.
 */
export function provideRedis(scope: FastifyInstance, client: RedisClient): void {
  scope.decorate<RedisClient>('redis', {
    getter(this: FastifyInstance) {
      return this.hasPlugin(PLUGIN) ? (undefined as never) : client
    },
    setter(this: FastifyInstance, value: RedisClient) {
      Object.defineProperty(this, 'redis', { value, enumerable: true, configurable: true, writable: true })
    }
  })
}
