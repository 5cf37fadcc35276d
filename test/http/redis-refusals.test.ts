import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { StartupError } from '../../src/common/errors.ts'
import { startApp } from '../helpers/app.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { timed } from '../helpers/timed.ts'

describe('an error that waiting cannot fix stops the start, and the message contains no password', () => {
  const wrong: Record<string, [url: (port: number) => string, why: RegExp]> = {
    'a wrong password': [(port) => `redis://app:hunter3@127.0.0.1:${port}`, /WRONGPASS/],
    'no password where there must be one': [(port) => `redis://127.0.0.1:${port}`, /NOAUTH/],
    'a database that does not exist': [
      (port) => `redis://app:hunter2@127.0.0.1:${port}/99`,
      /DB index is out of range/
    ],
    'a user without rights': [(port) => `redis://idle:hunter2@127.0.0.1:${port}`, /NOPERM/]
  }
  for (const [what, [url, why]] of Object.entries(wrong)) {
    timed(what, async (t) => {
      const redis = await RedisServer.start(t, { user: 'app on >hunter2 ~* &* +@all' })
      await redis.client.acl('SETUSER', 'idle', 'on', '>hunter2', '+ping')
      await redis.client.config('SET', 'requirepass', 'hunter4')
      await assert.rejects(startApp(t, { redis, url: url(redis.port) }), (error: Error) => {
        assert.ok(error instanceof StartupError, error.stack)
        assert.match(error.message, why)
        assert.doesNotMatch(error.message, /hunter/)
        return true
      })
    })
  }
})
