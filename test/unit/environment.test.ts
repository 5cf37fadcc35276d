import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { withholdFromChildren } from '../../src/config/systemd-environment.ts'
import { loadIdentity, workerEnvironment } from '../../src/config/worker-environment.ts'

const SECRET = 'correct-horse-battery-staple-2026'
const folder = mkdtempSync(join(tmpdir(), 'muster-environment-'))
after(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('the variables of systemd', () => {
  test('are removed from the environment that children inherit', () => {
    const variables = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1', WATCHDOG_PID: String(process.pid) }
    const environment = {
      PORT: '1',
      ...variables,
      LISTEN_FDS: '1',
      LISTEN_PID: String(process.pid),
      LISTEN_FDNAMES: 'a'
    }
    withholdFromChildren(environment)
    assert.deepEqual(environment, { PORT: '1' })
  })
})

describe('the environment of a worker', () => {
  const identity = {
    slot: 3,
    generation: 7,
    instance: 'a-primary',
    port: 8080,
    ticketKeys: Buffer.alloc(48, 'k'),
    serviceOptions: {},
    reportsImports: false
  }

  test('contains its identity', () => {
    assert.deepEqual(loadIdentity(workerEnvironment(identity)), identity)
  })

  test('contains the Redis and the secret that the primary has chosen', () => {
    const sessionSecretFile = file('chosen', SECRET)
    const chosen = workerEnvironment({ ...identity, redisUrl: 'unix:///run/redis.sock', sessionSecretFile })
    const config = loadConfig({ REDIS_URL_FILE: file('url', 'redis://a'), ...chosen })
    assert.equal(config.redis.url, 'unix:///run/redis.sock')
    assert.deepEqual(config.session.secrets, [SECRET])
  })

  test('keeps the REDIS_URL that the primary has not chosen', () => {
    const environment = { REDIS_URL: 'redis://a', ...workerEnvironment(identity) }
    assert.equal(loadConfig(environment).redis.url, 'redis://a')
  })
})
