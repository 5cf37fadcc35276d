import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Channel, createChannel, RpcError, RpcRefusal } from '../../src/ipc/channel.ts'
import { GARBAGE, type PeerRequests, type TestRequests, type ToPeer, type ToTest } from '../fixtures/channel-peer.ts'

const PEER = new URL('../fixtures/channel-peer.js', import.meta.url)
/** A timeout that no passing test reaches. */
const LONG_MS = 30_000

interface Ends {
  child: ChildProcess
  channel: Channel<ToPeer, ToTest, PeerRequests, TestRequests>
  /** The next message of this type. */
  next<T extends ToTest['type']>(type: T): Promise<Extract<ToTest, { type: T }>>
}

/** Opens a channel to a child process, which is killed after the test. */
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

test('notifications arrive in order', async (t) => {
  const { channel } = openChannel(t)
  const heard: string[] = []
  const all = new Promise<void>((resolve) => {
    channel.on('heard', ({ text }) => {
      if (heard.push(text) === 100) resolve()
    })
  })
  const sent = Array.from({ length: 100 }, (_, i) => `word ${i}`)
  const results = await Promise.all(sent.map((text) => channel.notify({ type: 'say', text })))
  assert.deepEqual(new Set(results), new Set([true]))
  await all
  assert.deepEqual(heard, sent)
})

test('a request is answered, in both directions, and leaves no timer behind', async (t) => {
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

test('every request gets its own response, in whatever order they come', async (t) => {
  const { channel } = openChannel(t)
  const names = Array.from({ length: 20 }, (_, i) => `request ${i}`)
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
  assert.deepEqual(order, names.toReversed(), 'the peer answers the last request first')
})

test('a request without a response is rejected at its timeout, and a late response is ignored', async (t) => {
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

test('requests to a process that exits are rejected at once, not at their timeout', async (t) => {
  const { child, channel } = openChannel(t)
  const before = waitingTimers()
  const pending = [channel.request('held', { name: 'a' }, LONG_MS), channel.request('held', { name: 'b' }, LONG_MS)]
  const leaving = channel.request('leave', null, LONG_MS)
  for (const request of [...pending, leaving]) {
    await assert.rejects(request, { name: 'RpcError', message: 'the other process is gone' })
    await assert.rejects(request, (error) => !(error instanceof RpcRefusal))
  }
  assert.equal(waitingTimers(), before)
  assert.equal(child.connected, false)
  assert.equal(await channel.notify({ type: 'say', text: 'hello?' }), false)
  await assert.rejects(channel.request('double', { n: 1 }, LONG_MS), { message: 'the other process is gone' })
})

test('notifying a process that is being killed never throws', async (t) => {
  const { child, channel } = openChannel(t)
  await channel.request('double', { n: 1 }, LONG_MS)
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  let isSent = true
  while (isSent) isSent = await channel.notify({ type: 'say', text: 'x'.repeat(100_000) })
  await gone
})

test('garbage and messages of an unknown type reach no listener', async (t) => {
  const { child, channel, next } = openChannel(t)
  const heard = next('heard')
  await channel.notify({ type: 'send-garbage' })
  assert.equal((await heard).text, 'garbage', 'the message after the garbage')
  for (const garbage of GARBAGE) child.send(garbage as object)
  assert.equal(await channel.request('double', { n: 21 }, LONG_MS), 42, 'the peer after the garbage')
})

test('an error of a handler rejects its request, and no other one', async (t) => {
  const { channel, next } = openChannel(t)
  const errors: Record<'error' | 'rejection' | 'text', string> = {
    error: 'an error',
    rejection: 'a rejection',
    text: 'just text'
  }
  for (const [what, message] of Object.entries(errors) as [keyof typeof errors, string][]) {
    const request = channel.request('throw', { what }, LONG_MS)
    await assert.rejects(request, { name: 'RpcError', message })
    await assert.rejects(request, RpcRefusal, 'the peer has answered')
  }
  await assert.rejects(channel.request('unserializable', null, LONG_MS), { name: 'RpcError', message: /BigInt/ })
  const answered = next('answered')
  channel.respond('triple', () => {
    throw new Error('not today')
  })
  await channel.notify({ type: 'request-back', name: 'triple', n: 1 })
  assert.equal((await answered).result, 'not today')
})

test('a request of newer code that older code does not know is refused at once', async (t) => {
  const { channel, next } = openChannel(t)
  await assert.rejects(channel.request('unknown', null, LONG_MS), { message: 'unknown request "unknown"' })
  const answered = next('answered')
  await channel.notify({ type: 'request-back', name: 'unanswered', n: 1 })
  assert.equal((await answered).result, 'unknown request "unanswered"')
})

test('notifications that are not accepted reach no listener, and such requests are refused', async (t) => {
  const refused: unknown[] = []
  const { channel } = openChannel(t, (message) => {
    const isAccepted = message.type !== 'heard' && message.request !== 'triple'
    if (!isAccepted) refused.push(message.type ?? message.request)
    return isAccepted
  })
  channel.on('heard', () => assert.fail('not accepted'))
  channel.respond('triple', () => assert.fail('not accepted'))
  const answered = new Promise((resolve) => channel.on('answered', ({ result }) => resolve(result)))
  await channel.notify({ type: 'say', text: 'something' })
  await channel.notify({ type: 'request-back', name: 'triple', n: 1 })
  assert.equal(await answered, 'request "triple" with wrong arguments')
  assert.deepEqual(refused, ['heard', 'triple'])
})

test('more than 32 requests at once are refused', async (t) => {
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
  test(`a ${kind} that is sent along reaches the peer, and stays open in the sender`, (t) => checkHandle(t, kind))
}

async function checkHandle(t: TestContext, kind: 'socket' | 'handle of a socket'): Promise<void> {
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
