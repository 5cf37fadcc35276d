import assert from 'node:assert/strict'
import { test } from 'node:test'
import { denied } from '../helpers/acl.ts'
import { once } from '../helpers/http.ts'
import { clusterUrl, moveSlot, NODES, nodeOf, startCluster } from '../helpers/redis-cluster.ts'
import type { RedisServer } from '../helpers/redis-server.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

/** Counts what one client was answered; whatever is no 200 must be a clear 503. */
class Tally {
  readonly numbers: number[] = []
  errors = 0

  async ask(port: number, method: string, path: string, headers: Record<string, string> = {}) {
    const answer = await once(port, method, path, headers)
    if (answer.status === 200) this.numbers.push((JSON.parse(answer.body) as { hits: number }).hits)
    else {
      assert.equal(answer.status, 503, answer.body)
      assert.equal((JSON.parse(answer.body) as { code: string }).code, 'STATE_UNAVAILABLE')
      this.errors++
    }
    return answer
  }
}

test('Cluster: while slots move under load, nothing is lost and nothing is counted twice', async (t) => {
  const nodes = await startCluster(t)
  const { port } = await startService(t, {
    env: { REDIS_URL: clusterUrl(nodes), REDIS_TIMEOUT: '5000' }
  })

  let stopped = false
  const hits = new Tally()
  const hitting = async () => {
    while (!stopped) await hits.ask(port, 'POST', '/hits')
  }
  const visitors = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const tally = new Tally()
      const { headers } = await tally.ask(port, 'GET', '/')
      return { tally, cookie: headers['set-cookie']!.split(';')[0]! }
    })
  )
  const clients = [hitting(), hitting()]
  for (const { tally, cookie } of visitors) {
    const visiting = async () => {
      while (!stopped) await tally.ask(port, 'GET', '/', { cookie })
    }
    clients.push(visiting(), visiting())
  }

  const sessions = visitors.map(({ cookie }) => `muster:session:${decodeURIComponent(cookie.slice(4)).split('.')[0]}`)
  const owners = new Map<number, number>()
  for (let round = 0; round < NODES; round++) {
    for (const key of ['muster:hits', ...sessions]) {
      const slot = await nodes[0]!.client.cluster('KEYSLOT', key)
      const owner = owners.get(slot) ?? nodeOf(slot)
      const next = (owner + 1) % NODES
      await moveSlot(slot, nodes[owner]!, nodes[next]!, nodes)
      owners.set(slot, next)
      const known = hits.numbers.length
      await until(() => hits.numbers.length > known + 5, 'hits after the move')
    }
  }
  stopped = true
  await Promise.all(clients)

  for (const node of nodes) assert.deepEqual(await denied(node), [])
  const tallies = [hits, ...visitors.map(({ tally }) => tally)]
  const numbers = tallies.flatMap((tally) => tally.numbers)
  const errors = tallies.reduce((sum, tally) => sum + tally.errors, 0)
  t.diagnostic(`${numbers.length} hits while ${NODES * (1 + sessions.length)} slots moved; ${errors} answers 503`)
  const { hits: counted } = JSON.parse((await once(port, 'GET', '/hits')).body) as { hits: number }
  assert.equal(new Set(numbers).size, numbers.length, 'a number was given twice')
  assert.ok(numbers.length <= counted && counted <= numbers.length + errors, `${counted} counted of ${numbers.length}`)
  for (const { tally, cookie } of visitors) {
    const session = await once(port, 'GET', '/session', { cookie })
    const { visits } = JSON.parse(session.body) as { visits: number }
    const answered = tally.numbers.length
    assert.ok(answered <= visits && visits <= answered + tally.errors, `${visits} visits, ${answered} of them answered`)
  }
})

test('Cluster: a sign-in moves the visits to the new session on another node', async (t) => {
  const nodes = await startCluster(t)
  const { port } = await startService(t, {
    env: { REDIS_URL: clusterUrl(nodes), REDIS_TIMEOUT: '5000' }
  })
  const cookieOf = (headers: Record<string, string>) => headers['set-cookie']!.split(';')[0]!
  for (let i = 0; i < 8; i++) {
    const cookie = cookieOf((await once(port, 'GET', '/')).headers)
    await once(port, 'GET', '/', { cookie })
    const signIn = { method: 'POST', headers: { cookie, 'content-type': 'application/json' }, body: '{"name":"ada"}' }
    const response = await fetch(`http://127.0.0.1:${port}/session`, signIn)
    assert.equal(response.status, 200)
    const next = cookieOf(Object.fromEntries(response.headers))
    const { name, visits } = JSON.parse((await once(port, 'GET', '/session', { cookie: next })).body)
    assert.deepEqual([name, visits], ['ada', 2])
    assert.equal(JSON.parse((await once(port, 'GET', '/', { cookie: next })).body).visits, 3)
    assert.equal(JSON.parse((await once(port, 'GET', '/session', { cookie })).body).createdAt, null)
  }
  for (const node of nodes) assert.deepEqual(await denied(node), [])
})

for (const [how, leave, back] of [
  ['killed', (node: RedisServer) => node.end('SIGKILL'), (node: RedisServer) => node.run()],
  ['stopped', (node: RedisServer) => node.signal('SIGSTOP'), (node: RedisServer) => node.signal('SIGCONT')]
] as const) {
  test(`Cluster: the node of the counter is ${how}: requests get 503 and recover without an operator`, async (t) => {
    const nodes = await startCluster(t)
    const service = await startService(t, { env: { REDIS_URL: clusterUrl(nodes) } })
    const tally = new Tally()
    for (let i = 0; i < 20; i++) await tally.ask(service.port, 'POST', '/hits')
    const slot = await nodes[0]!.client.cluster('KEYSLOT', 'muster:hits')
    const node = nodes[nodeOf(slot)]!

    await leave(node)
    const isAway = ({ msg }: { msg: string }) => msg === 'Redis is away'
    await Promise.all([
      service.until(() => service.lines.filter(isAway).length === 2, 'an open circuit in both workers'),
      ...Array.from({ length: 20 }, () => tally.ask(service.port, 'POST', '/hits'))
    ])
    await until(async () => (await once(service.port, 'GET', '/readyz')).status === 503, 'not ready')
    const asked = performance.now()
    const errors = tally.errors
    await Promise.all(Array.from({ length: 20 }, () => tally.ask(service.port, 'POST', '/hits')))
    t.diagnostic(`20 answers 503 in ${Math.round(performance.now() - asked)} ms`)
    assert.equal(tally.errors, errors + 20)
    assert.equal((await once(service.port, 'GET', '/livez')).status, 200)

    await back(node)
    const returned = performance.now()
    await until(async () => (await once(service.port, 'GET', '/readyz')).status === 200, 'ready')
    t.diagnostic(`back after ${Math.round(performance.now() - returned)} ms`)
    await tally.ask(service.port, 'POST', '/hits')
    const counted = tally.numbers.at(-1)!
    const answered = tally.numbers.length
    assert.equal(new Set(tally.numbers).size, answered)
    assert.ok(answered <= counted && counted <= answered + tally.errors, `${counted} counted, ${answered} answered`)
  })
}
