import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connection, freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const CROWD = 700

for (const SCHEDULING of ['rr', 'shared', 'sticky', 'reuseport']) {
  const skip = SCHEDULING === 'reuseport' && !hasReusePort
  test(`${SCHEDULING}: at the file descriptor limit accepting pauses, and every connection is answered in the end`, {
    skip
  }, async (t) => {
    const { url } = await startRedis(t)
    const port = SCHEDULING === 'reuseport' ? { PORT: String(await freePort()), REUSEPORT_LOSS: 'allow' } : {}
    const patient = { KEEP_ALIVE_TIMEOUT: '110000', HEADERS_TIMEOUT: '110000', REQUEST_TIMEOUT: '110000' }
    const env = { REDIS_URL: url, APP: fixture('slow'), SCHEDULING, ...patient, ...port }
    const service = await startService(t, { env, maxDescriptors: 256 })

    const crowd = await Promise.all(
      // With sticky, one address would have one worker.
      Array.from({ length: CROWD }, (_, i) => Connection.open(service.port, `127.0.1.${(i % 200) + 1}`))
    )
    const failures: string[] = []
    const answered: Connection[] = []
    let done = 0
    const all = Promise.all(
      crowd.map((connection, i) =>
        connection.request('GET', `/echo?id=${i}`).then(
          ({ status }) => {
            if (status !== 200) failures.push(`status ${status}`)
            answered.push(connection)
            done++
          },
          (error: Error) => {
            failures.push(error.message)
            done++
          }
        )
      )
    )
    await service.line(({ msg }) => msg === 'accepting pauses')
    // Those that are answered are kept for a while: the others wait, and none of them is turned away.
    const served = () => answered.length
    await until(() => served() >= 200 || failures.length > 0, 'as many as there is room for')
    assert.deepEqual(failures, [])
    assert.equal(service.workers().size, 2)
    const closing = setInterval(() => {
      for (const connection of answered.splice(0)) connection.close()
    }, 20)
    t.after(() => clearInterval(closing))
    await all
    clearInterval(closing)
    assert.deepEqual(failures, [])
    assert.equal(done, CROWD)
    for (const connection of crowd) connection.close()

    assert.equal((await once(service.port, 'GET', '/echo?id=1')).status, 200)
    const page = (await once(service.port, 'GET', '/metrics')).body
    const pauses = [...page.matchAll(/^cluster_accept_pauses_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
    assert.ok(pauses.length === 3 && pauses.some((count) => count > 0), page)
    assert.equal(service.lines.filter(({ msg }) => msg === 'worker exited').length, 0)
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  })
}
