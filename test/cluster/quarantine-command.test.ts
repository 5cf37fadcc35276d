import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cleanup } from '../helpers/cleanup.ts'
import { isQuarantined } from '../helpers/deadly-requests.ts'
import { Connection, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { muster, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

test('a route that a command quarantines is refused on open connections and by later workers, until it is lifted', async (t) => {
  const service = await startService(t, { env: { REDIS: 'off', APP: fixture('deadly') }, workers: 2 })
  const connection = await Connection.open(service.port)
  cleanup(t, () => connection.close())
  assert.equal((await connection.request('GET', '/items/1')).status, 200)

  const added = await muster(service, 'quarantine', 'add', 'GET /items/:id')
  assert.equal(added.code, 0, added.stderr)
  await until(async () => isQuarantined(await connection.request('GET', '/items/2')), 'the refusal')
  const refusal = await connection.request('GET', '/items/3')
  assert.equal(refusal.headers['retry-after'], '3600')
  assert.equal(connection.ended, false, 'the refusal keeps the connection')
  assert.equal((await connection.request('GET', '/quick')).status, 200)

  for (const slot of ['0', '1']) assert.equal((await muster(service, 'recycle', slot)).code, 0)
  for (let i = 0; i < 4; i++) assert.ok(isQuarantined(await once(service.port, 'GET', '/items/4')))
  const list = JSON.parse((await muster(service, 'quarantine', 'list', '--json')).stdout)
  assert.deepEqual([list.result.routes[0].route, list.result.routes[0].by], ['GET /items/:id', 'operator'])
  assert.match((await muster(service, 'status')).stdout, /quarantined: GET \/items\/:id/)

  assert.equal((await muster(service, 'quarantine', 'lift', 'GET /items/:id')).code, 0)
  await until(async () => (await once(service.port, 'GET', '/items/5')).status === 200, 'the route again')
})

test('commands name what is wrong with a route, and probes and the admin plane cannot be quarantined', async (t) => {
  const service = await startService(t, { env: { REDIS: 'off', APP: fixture('deadly') }, workers: 1 })
  const refused = async (...words: string[]) => {
    const { code, stderr, stdout } = await muster(service, 'quarantine', ...words)
    assert.equal(code, 1, stdout)
    return `${stdout}${stderr}`
  }
  assert.match(await refused('add', 'todos'), /must be a method, a space and a path, such as "POST \/todos"/)
  assert.match(await refused('add', 'GET /readyz'), /never quarantined/)
  assert.match(await refused('lift', 'GET /todos'), /not quarantined/)
})
