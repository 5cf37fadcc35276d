import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const OLD = 'tr0ub4dor-and-three-of-its-friends'
const NEW = 'correct-horse-battery-staple-2026'

test('rotating SESSION_SECRET by reloads loses no session', async (t) => {
  const { url } = await startRedis(t)
  const file = join(temporaryFolder(t), 'secret')
  writeFileSync(file, OLD)
  const service = await startService(t, { env: { REDIS_URL: url, SESSION_SECRET_FILE: file } })

  let stopped = false
  t.after(() => {
    stopped = true
  })
  /** Comes again and again, on a new connection each time, and takes every cookie. @returns the first and the last one */
  const visit = async () => {
    const cookies: string[] = []
    for (let visits = 1; !stopped; visits++) {
      const cookie = cookies.at(-1)
      const { status, headers, body } = await once(service.port, 'GET', '/', cookie ? { cookie } : {})
      assert.equal(status, 200)
      assert.equal(JSON.parse(body).visits, visits)
      if (headers['set-cookie']) cookies.push(headers['set-cookie'].split(';')[0]!)
    }
    return cookies
  }
  const visitors = Array.from({ length: 5 }, visit)
  // Two releases serve during a reload, so every worker must verify with the new secret before one signs with it.
  for (const secrets of [`${OLD},${NEW}`, `${NEW},${OLD}`, NEW]) {
    writeFileSync(file, secrets)
    assert.equal((await service.reload()).msg, 'rollout done')
  }
  stopped = true
  for (const cookies of await Promise.all(visitors)) {
    const visitsOf = async (cookie = '') =>
      JSON.parse((await once(service.port, 'GET', '/session', { cookie })).body).visits as number
    assert.ok(cookies.length > 1, 'the cookie was signed anew')
    assert.equal(await visitsOf(cookies[0]), 0, 'the old secret is gone')
    assert.ok((await visitsOf(cookies.at(-1))) > 3)
  }
})
