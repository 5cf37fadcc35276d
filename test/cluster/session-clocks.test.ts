import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shiftedClock } from '../helpers/clock.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'

const HOUR = 3_600_000
/** SESSION_MAX_AGE is 12 h. */
const SHIFTS = [0, 13 * HOUR, -13 * HOUR]

test('a host whose clock is 13 h wrong ends no session early and keeps none longer', async (t) => {
  const { url, client } = await startRedis(t)
  const hosts = await Promise.all(
    SHIFTS.map((ms) => {
      const NODE_OPTIONS = shiftedClock(ms)
      return startService(t, { workers: 1, env: { REDIS_URL: url, APP: fixture('session-writer'), NODE_OPTIONS } })
    })
  )
  for (const [i, { lines }] of hosts.entries()) {
    assert.ok(Math.abs(Number(lines[0]!.time) - SHIFTS[i]! - Date.now()) < HOUR, `the clock of host ${i}`)
  }

  for (const first of hosts) {
    const { headers } = await once(first.port, 'POST', '/sign-in')
    const cookie = headers['set-cookie']!.split(';')[0]!
    const expires = Date.parse(/Expires=([^;]+)/.exec(headers['set-cookie']!)![1]!)
    assert.ok(Math.abs(expires - Date.now() - 12 * HOUR) < HOUR, 'the cookie lasts as long as the session')
    const key = `muster:session:${decodeURIComponent(cookie.slice(4)).split('.', 1)[0]}`
    for (const [i, { port }] of [...hosts, ...hosts].entries()) {
      assert.equal((await once(port, 'PUT', `/keys/key-${i}/1`, { cookie })).status, 200)
      const keys = JSON.parse((await once(port, 'GET', '/keys', { cookie })).body)
      assert.deepEqual([keys.name, keys[`key-${i}`]], ['ada', 1])
      const left = await client.pttl(key)
      assert.ok(left > 0 && left <= HOUR / 2, `it lives for ${left} ms more`)
    }
    const stored = JSON.parse((await client.get(key))!)
    assert.ok(Math.abs(stored.createdAt - Date.now()) < HOUR)

    // As if it had begun 12 h ago.
    const old = JSON.stringify(stored).replace(/"createdAt":\d+/, `"createdAt":${Date.now() - 12 * HOUR - 1}`)
    for (const { port } of hosts) {
      await client.set(key, old, 'EX', 1000)
      assert.equal(JSON.parse((await once(port, 'GET', '/keys', { cookie })).body).name, undefined)
      assert.equal(await client.exists(key), 0)
    }
  }
})
