import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, Connection, head, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const CLIENTS = Array.from({ length: 200 }, (_, i) => `127.0.1.${i + 1}`)
const PROXY = '127.0.0.9'

interface Who {
  slot: number
  pid: number
  generation: number
  ip: string
  id?: string
  body?: unknown
}

async function startSticky(t: TestContext, workers: number, env: Record<string, string> = {}): Promise<Service> {
  const { url } = await startRedis(t)
  // Connections wait for rolls here, and on a busy machine those take their time.
  const patient = { KEEP_ALIVE_TIMEOUT: '60000', HEADERS_TIMEOUT: '60000', REQUEST_TIMEOUT: '60000' }
  const own = { REDIS_URL: url, APP: fixture('who'), SCHEDULING: 'sticky', ...patient }
  return startService(t, { env: { ...own, ...env }, workers })
}

const parse = ({ status, body }: Answer): Who => {
  assert.equal(status, 200, body)
  return JSON.parse(body) as Who
}
/** The worker that answers this client on a new connection. */
const ask = async (service: Service, from: string, headers: Record<string, string> = {}) =>
  parse(await once(service.port, 'GET', '/who/1', headers, from))
const slotsOf = async (service: Service, clients = CLIENTS) =>
  (await Promise.all(clients.map((client) => ask(service, client)))).map(({ slot }) => slot)
const pidOf = (service: Service, slot: number) => [...service.workers()].find(([, one]) => one.slot === slot)![0]
const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

/** Whether a process has the server's end of this connection. */
function holds(pid: number, { socket }: Connection): boolean {
  const hex = (number: number, digits: number) => number.toString(16).toUpperCase().padStart(digits, '0')
  const end = (address = '', port = 0) =>
    `${address
      .split('.')
      .reverse()
      .map((byte) => hex(Number(byte), 2))
      .join('')}:${hex(port, 4)}`
  const ends = `${end(socket.remoteAddress, socket.remotePort)} ${end(socket.localAddress, socket.localPort)}`
  // After the ends: state, queues, timer, retransmits, user, probes, inode.
  const [, inode] =
    new RegExp(`${ends} 01 \\S+ \\S+ \\S+ +\\d+ +\\d+ (\\d+)`).exec(readFileSync('/proc/net/tcp', 'utf8')) ?? []
  return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`)
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // It has been closed since it was listed.
  }
}

test('a client stays at one slot over kill -9 of its worker and over a reload', async (t) => {
  const service = await startSticky(t, 3)
  const before = await slotsOf(service)
  assert.deepEqual(new Set(before), new Set([0, 1, 2]))
  assert.deepEqual(await slotsOf(service), before)
  const [client = ''] = CLIENTS
  const slot = before[0]!
  const from = service.lines.length
  process.kill(pidOf(service, slot), 'SIGKILL')
  const elsewhere = await ask(service, client)
  t.diagnostic(`while its worker was dead: slot ${elsewhere.slot}`)
  await service.line((line) => line.msg === 'worker ready' && line.slot === slot, from)
  assert.deepEqual(await slotsOf(service), before)

  const kept = await Promise.all(CLIENTS.map((address) => Connection.open(service.port, address)))
  t.after(() => {
    for (const connection of kept) connection.close()
  })
  const answers = async () =>
    (await Promise.all(kept.map((connection) => connection.request('GET', '/who/1')))).map(parse)
  assert.deepEqual(
    (await answers()).map((who) => who.slot),
    before
  )
  assert.equal((await service.reload()).msg, 'rollout done')
  for (const [i, who] of (await answers()).entries()) {
    assert.equal(who.slot, before[i], 'an open connection stays with its slot')
    assert.equal(who.generation, 2)
  }
  assert.deepEqual(await slotsOf(service), before)
})

test('an added worker takes a share of the clients, and its removal gives them back', async (t) => {
  const service = await startSticky(t, 2)
  const before = await slotsOf(service)
  const kept = await Promise.all(CLIENTS.map((address) => Connection.open(service.port, address)))
  service.child.kill('SIGTTIN')
  await service.line((line) => line.msg === 'worker ready' && line.slot === 2)
  const after = await slotsOf(service)
  const moved = after.filter((slot, i) => slot !== before[i])
  assert.ok(moved.every((slot) => slot === 2))
  assert.ok(moved.length > 30 && moved.length < 110, `${moved.length} of 200 moved, where a third is 67`)
  t.diagnostic(`${moved.length} of 200 moved to the third worker`)

  const late = await Promise.all(CLIENTS.map((address) => Connection.open(service.port, address)))
  t.after(() => {
    for (const connection of [...kept, ...late]) connection.close()
  })
  const answersOf = async (connections: Connection[]) =>
    (await Promise.all(connections.map((connection) => connection.request('GET', '/who/1')))).map(parse)
  assert.deepEqual(
    (await answersOf(late)).map(({ slot }) => slot),
    after
  )
  service.child.kill('SIGTTOU')
  await service.line((line) => line.msg === 'worker exited' && line.slot === 2)
  assert.deepEqual(await slotsOf(service), before)
  for (const connections of [kept, late]) {
    assert.deepEqual(
      (await answersOf(connections)).map(({ slot }) => slot),
      before,
      'open connections of the slot that is gone go where their clients go'
    )
  }
})

test('a hung worker gets no connections for as long as it hangs', async (t) => {
  const service = await startSticky(t, 3)
  const before = await slotsOf(service)
  const [client = ''] = CLIENTS
  const slot = before[0]!
  const pid = pidOf(service, slot)
  const kept = await Connection.open(service.port, client)
  assert.equal(parse(await kept.request('GET', '/who/1')).slot, slot)
  process.kill(pid, 'SIGSTOP')
  // This one waits at the worker, and so may the first new ones, until it is known that it hangs.
  const waiting = kept.request('GET', '/who/1')
  const answered: Who[] = []
  const asked: Promise<unknown>[] = []
  await until(async () => {
    asked.push(ask(service, client).then((who) => answered.push(who)))
    await Promise.race([asked.at(-1), sleep(50)])
    return answered.length > 0
  }, 'an answer from another worker')
  const [other] = answered
  assert.notEqual(other!.slot, slot)
  process.kill(pid, 'SIGCONT')
  await Promise.all(asked)
  for (const who of answered) assert.ok([slot, other!.slot].includes(who.slot))
  assert.equal(parse(await waiting).slot, slot)
  kept.close()
  assert.deepEqual(await slotsOf(service), before)
})

test('X-Forwarded-For names the client only when it comes from TRUST_PROXY', async (t) => {
  const service = await startSticky(t, 4, { TRUST_PROXY: `${PROXY}, 10.0.0.0/8` })
  const direct = await slotsOf(service, CLIENTS.slice(0, 60))
  for (const [i, slot] of direct.entries()) {
    const client = CLIENTS[i]!
    const through = await ask(service, PROXY, { 'X-Forwarded-For': `6.6.6.${i}, ${client}:${4000 + i}, 10.1.1.${i}` })
    assert.equal(through.slot, slot, 'as if it came by itself, whatever port the proxy names')
    assert.equal(through.ip, client)
  }
  const own = (await ask(service, '127.0.0.8')).slot
  for (const client of CLIENTS.slice(0, 60)) {
    const forged = await ask(service, '127.0.0.8', { 'X-Forwarded-For': client })
    assert.equal(forged.slot, own, 'who is no proxy is believed nothing')
    assert.equal(forged.ip, '127.0.0.8')
  }
})

test('bytes that were read to find the client reach its worker exactly once', async (t) => {
  const service = await startSticky(t, 2, { TRUST_PROXY: PROXY })
  const [client = ''] = CLIENTS
  const { slot } = await ask(service, client)
  const send = async (answers: number, ...packets: string[]) => {
    const connection = await Connection.open(service.port, PROXY)
    t.after(() => connection.close())
    const all = Promise.all(Array.from({ length: answers }, () => connection.expect()))
    for (const packet of packets) {
      await new Promise<void>((resolve) => connection.socket.write(packet, () => resolve()))
      // Not to be one packet with the next one.
      await sleep(20)
    }
    return { connection, answers: await all }
  }
  const get = (id: string) => head('GET', `/who/${id}`, { 'X-Forwarded-For': client })
  const post = (body: string) =>
    head('POST', '/who', {
      'X-Forwarded-For': client,
      'Content-Type': 'application/json',
      'Content-Length': String(body.length)
    }) + body
  const idsOf = (answers: Answer[]) =>
    answers.map(parse).map((who) => {
      assert.equal(who.slot, slot)
      assert.equal(who.ip, client)
      return who.id ?? who.body
    })

  const whole = get('a')
  const split = await send(1, whole.slice(0, 20), whole.slice(20, 60), whole.slice(60))
  assert.deepEqual(idsOf(split.answers), ['a'], 'a head in three packets')
  split.connection.socket.write(get('b'))
  assert.deepEqual(idsOf([await split.connection.expect()]), ['b'], 'and the connection goes on')
  assert.deepEqual(idsOf((await send(1, ...get('c').match(/[\s\S]{1,9}/g)!)).answers), ['c'], 'a head in many packets')
  assert.deepEqual(idsOf((await send(3, get('d') + get('e') + get('f'))).answers), ['d', 'e', 'f'], 'a burst')
  const more = get('g') + get('h') + get('i')
  assert.deepEqual(idsOf((await send(3, more.slice(0, -40), more.slice(-40))).answers), ['g', 'h', 'i'], 'a burst, cut')
  assert.deepEqual(idsOf((await send(1, post('{"n":1}'))).answers), [{ n: 1 }], 'a body')
  const parts = post(`{"text":"${'x'.repeat(30_000)}"}`)
  const [big] = idsOf((await send(1, parts.slice(0, 5000), parts.slice(5000))).answers)
  assert.equal((big as { text: string }).text.length, 30_000, 'a body in parts')
  assert.deepEqual(idsOf((await send(2, post('{"n":2}') + get('j'))).answers), [{ n: 2 }, 'j'], 'a body and a request')
  assert.equal((await send(1, 'nonsense\r\n\r\n')).answers[0]?.status, 400)
  assert.equal((await send(1, head('GET', '/who/k', { x: 'x'.repeat(20_000) }))).answers[0]?.status, 431)
})

test('a late request head goes to the worker in parts, and a reload transfers only silent clients', async (t) => {
  const service = await startSticky(t, 1, { TRUST_PROXY: PROXY })
  const [silent, ...halves] = await Promise.all([0, 1, 2].map(() => Connection.open(service.port, PROXY)))
  const text = head('GET', '/who/late', { 'X-Forwarded-For': '127.0.1.1' })
  for (const half of halves) half.socket.write(text.slice(0, 30))
  const old = pidOf(service, 0)
  await until(() => [silent!, ...halves].every((connection) => holds(old, connection)), 'all three at their worker')
  const roll = service.reload()
  const { worker } = await service.line((line) => line.msg === 'worker ready' && line.generation === 2)
  await until(() => holds(worker!, silent!), 'the silent one at the new worker')
  const answers = [silent!, ...halves].map((connection) => connection.expect())
  silent!.socket.write(text)
  for (const half of halves) half.socket.write(text.slice(30))
  const [late, ...others] = (await Promise.all(answers)).map(parse)
  assert.equal(late!.generation, 2)
  for (const who of others) assert.equal(who.generation, 1)
  for (const who of [late!, ...others]) assert.equal(who.ip, '127.0.1.1')
  for (const connection of [silent!, ...halves]) connection.close()
  assert.equal((await roll).msg, 'rollout done')
})

test('proxies that disconnect at any moment leak nothing', async (t) => {
  const service = await startSticky(t, 2, { TRUST_PROXY: PROXY })
  await ask(service, PROXY)
  const before = descriptors(service.pid)
  const text = head('GET', '/who/1')
  for (let i = 0; i < 60; i++) {
    const connection = await Connection.open(service.port, PROXY)
    connection.socket.write(text.slice(0, (text.length * i) / 60))
    if (i % 3 === 0) connection.socket.end()
    else if (i % 3 === 1) connection.socket.resetAndDestroy()
    else connection.close()
  }
  assert.equal((await ask(service, PROXY)).slot, (await ask(service, PROXY)).slot)
  await until(() => descriptors(service.pid) <= before, 'the primary has closed every connection')
  assert.equal(service.workers().size, 2)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})
