import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Channel, createChannel, RpcError } from '../../src/ipc/channel.ts'
import { GARBAGE, type PeerRequests, type TestRequests, type ToPeer, type ToTest } from '../fixtures/channel-peer.ts'

const PEER = new URL('../fixtures/channel-peer.js', import.meta.url)
/** Never waited for when all is well. */
const LONG_MS = 30_000

interface Ends {
  child: ChildProcess
  channel: Channel<ToPeer, ToTest, PeerRequests, TestRequests>
  /** The next message of this type. */
  next<T extends ToTest['type']>(type: T): Promise<Extract<ToTest, { type: T }>>
}

/** A channel to a process of its own, which is gone after the test. */
function openChannel(t: TestContext, accepts?: (message: Record<string, unknown>) => boolean): Ends {
  const child = fork(PEER)
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const channel = createChannel<ToPeer, ToTest, PeerRequests, TestRequests>(child, accepts)
  return { child, channel, next: (type) => new Promise((resolve) => channel.on(type, resolve)) }
}

const waitingTimers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('what is told arrives, in order', async (t) => {
  const { channel } = openChannel(t)
  const heard: string[] = []
  const all = new Promise<void>((resolve) => {
    channel.on('heard', ({ text }) => {
      if (heard.push(text) === 100) resolve()
    })
  })
  const said = Array.from({ length: 100 }, (_, i) => `word ${i}`)
  const told = await Promise.all(said.map((text) => channel.notify({ type: 'say', text })))
  assert.deepEqual(new Set(told), new Set([true]))
  await all
  assert.deepEqual(heard, said)
})

test('a question is answered, in both directions, and no timer is left behind', async (t) => {
  const { channel, next } = openChannel(t)
  const before = waitingTimers()
  assert.equal(await channel.request('double', { n: 21 }, LONG_MS), 42)
  assert.equal(await channel.request('nothing', null, LONG_MS), undefined)
  assert.equal(waitingTimers(), before)
  channel.respond('triple', async ({ n }) => n * 3)
  const answered = next('answered')
  await channel.notify({ type: 'request-back', name: 'triple', n: 14 })
  assert.equal((await answered).result, 42)
})

test('every question gets its own answer, in whatever order they come', async (t) => {
  const { channel } = openChannel(t)
  const names = Array.from({ length: 20 }, (_, i) => `question ${i}`)
  const order: string[] = []
  const answers = names.map(async (name) => {
    const answer = await channel.request('held', { name }, LONG_MS)
    order.push(name)
    return answer
  })
  await channel.notify({ type: 'release' })
  assert.deepEqual(
    await Promise.all(answers),
    names.map((name) => `answer to ${name}`)
  )
  assert.deepEqual(order, names.toReversed(), 'the peer answers the last one first')
})

test('a question that is not answered in time is rejected then, and its late answer disturbs nothing', async (t) => {
  const { channel, next } = openChannel(t)
  await channel.request('double', { n: 1 }, LONG_MS)
  const asked = performance.now()
  await assert.rejects(channel.request('held', { name: 'late' }, 100), (error) => {
    assert.ok(error instanceof RpcError)
    assert.equal(error.message, 'no answer in 100 ms')
    return true
  })
  const waited = performance.now() - asked
  assert.ok(waited >= 99 && waited < LONG_MS / 3, `rejected after ${waited} ms`)
  const released = next('released')
  await channel.notify({ type: 'release' })
  await released
  assert.equal(await channel.request('double', { n: 21 }, LONG_MS), 42)
})

test('who asks a process that goes is told at once, not at the deadline', async (t) => {
  const { child, channel } = openChannel(t)
  const before = waitingTimers()
  const pending = [channel.request('held', { name: 'a' }, LONG_MS), channel.request('held', { name: 'b' }, LONG_MS)]
  const leaving = channel.request('leave', null, LONG_MS)
  for (const question of [...pending, leaving]) {
    await assert.rejects(question, { name: 'RpcError', message: 'the other process is gone' })
  }
  assert.equal(waitingTimers(), before)
  assert.equal(child.connected, false)
  assert.equal(await channel.notify({ type: 'say', text: 'anybody there?' }), false)
  await assert.rejects(channel.request('double', { n: 1 }, LONG_MS), { message: 'the other process is gone' })
})

test('telling a process that is being killed never throws', async (t) => {
  const { child, channel } = openChannel(t)
  await channel.request('double', { n: 1 }, LONG_MS)
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  let told = true
  while (told) told = await channel.notify({ type: 'say', text: 'x'.repeat(100_000) })
  await gone
})

test('garbage and messages of a type that is not known are passed to nobody', async (t) => {
  const { child, channel, next } = openChannel(t)
  const heard = next('heard')
  await channel.notify({ type: 'send-garbage' })
  assert.equal((await heard).text, 'garbage', 'what came after the garbage')
  for (const garbage of GARBAGE) child.send(garbage as object)
  assert.equal(await channel.request('double', { n: 21 }, LONG_MS), 42, 'the peer after the garbage')
})

test('an answer that is an error is one for who asked, and for nobody else', async (t) => {
  const { channel, next } = openChannel(t)
  const errors: Record<'error' | 'rejection' | 'text', string> = {
    error: 'an error',
    rejection: 'a rejection',
    text: 'just text'
  }
  for (const [what, message] of Object.entries(errors) as [keyof typeof errors, string][]) {
    await assert.rejects(channel.request('throw', { what }, LONG_MS), { name: 'RpcError', message })
  }
  await assert.rejects(channel.request('unserializable', null, LONG_MS), { name: 'RpcError', message: /BigInt/ })
  const answered = next('answered')
  channel.respond('triple', () => {
    throw new Error('not today')
  })
  await channel.notify({ type: 'request-back', name: 'triple', n: 1 })
  assert.equal((await answered).result, 'not today')
})

test('a question that newer code asks and older code does not know is refused at once', async (t) => {
  const { channel, next } = openChannel(t)
  await assert.rejects(channel.request('unknown', null, LONG_MS), { message: 'unknown request "unknown"' })
  const answered = next('answered')
  await channel.notify({ type: 'request-back', name: 'unanswered', n: 1 })
  assert.equal((await answered).result, 'unknown request "unanswered"')
})

test('what is not accepted is passed to nobody; such a question is refused', async (t) => {
  const refused: unknown[] = []
  const { channel } = openChannel(t, (message) => {
    const right = message.type !== 'heard' && message.request !== 'triple'
    if (!right) refused.push(message.type ?? message.request)
    return right
  })
  channel.on('heard', () => assert.fail('not accepted'))
  channel.respond('triple', () => assert.fail('not accepted'))
  const answered = new Promise((resolve) => channel.on('answered', ({ result }) => resolve(result)))
  await channel.notify({ type: 'say', text: 'something' })
  await channel.notify({ type: 'request-back', name: 'triple', n: 1 })
  assert.equal(await answered, 'request "triple" with wrong arguments')
  assert.deepEqual(refused, ['heard', 'triple'])
})

test('who asks very many questions at once is refused some', async (t) => {
  const { channel } = openChannel(t)
  let release!: () => void
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  channel.respond('triple', ({ n }) => released.then(() => n * 3))
  const results: unknown[] = []
  const all = new Promise<void>((resolve) => {
    channel.on('answered', ({ result }) => {
      if (results.push(result) === 3) release()
      if (results.length === 35) resolve()
    })
  })
  for (let n = 0; n < 35; n++) await channel.notify({ type: 'request-back', name: 'triple', n })
  await all
  assert.deepEqual(results.slice(0, 3), Array(3).fill('more than 32 requests at once'))
  assert.deepEqual(
    results.slice(3),
    Array.from({ length: 32 }, (_, n) => n * 3)
  )
})

for (const kind of ['socket', 'handle of a socket'] as const) {
  test(`a ${kind} that is told along reaches the peer, and the copy here stays open`, (t) => takesAlong(t, kind))
}

async function takesAlong(t: TestContext, kind: 'socket' | 'handle of a socket'): Promise<void> {
  const { child, channel } = openChannel(t)
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const client = connect((server.address() as { port: number }).port, '127.0.0.1').setEncoding('utf8')
  const [accepted] = (await once(server, 'connection')) as [Socket & { _handle: unknown }]
  assert.equal(await channel.notify({ type: 'take' }, kind === 'socket' ? accepted : accepted._handle), true)
  const [text] = await once(client, 'data')
  assert.equal(text, `from ${child.pid}`)
  assert.equal(accepted.destroyed, false)
  assert.ok((accepted._handle as { fd: number }).fd > 0, 'the descriptor is closed here')
  accepted.destroy()
  client.destroy()
}
