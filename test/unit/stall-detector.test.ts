import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from '../../src/worker/connections/connection.ts'
import { unacknowledgedBytes } from '../../src/worker/lingering/kernel-queue.ts'
import { StallDetector } from '../../src/worker/lingering/stall-detector.ts'
import { until } from '../helpers/until.ts'

const STALL_MS = 2000
const CHECK_MS = 100
/** More than the kernel takes at once for a client that does not read. */
const MUCH = Buffer.alloc(32 * 2 ** 20)

async function pair(t: TestContext): Promise<{ server: Socket; client: Socket }> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = connect((listener.address() as { port: number }).port, '127.0.0.1').pause()
  const [server] = (await once(listener, 'connection')) as [Socket]
  t.after(() => {
    client.destroy()
    server.destroy()
    listener.close()
  })
  return { server, client }
}

/** @returns how long it takes until the connection is found to stall, in ms */
async function stallsAfter(detector: StallDetector, server: Socket): Promise<number> {
  const connection = createConnection(server, undefined)
  const startedAt = performance.now()
  while ((await detector.findStalled([connection])).length === 0) await sleep(CHECK_MS)
  return performance.now() - startedAt
}

test('a connection on which nothing moves stalls after the time, and not before', async (t) => {
  const { server } = await pair(t)
  assert.ok((await stallsAfter(new StallDetector(STALL_MS), server)) >= STALL_MS)
})

test('one byte in either direction is progress', async (t) => {
  const { server, client } = await pair(t)
  server.resume()
  const stalled = stallsAfter(new StallDetector(STALL_MS), server)
  await sleep(STALL_MS / 2)
  client.write('x')
  await sleep(STALL_MS / 2)
  server.write('x')
  // The clock of the second byte begins after a check that may come late.
  assert.ok((await stalled) >= 2 * STALL_MS - CHECK_MS)
})

test('time in which this process did not run is no stall', async (t) => {
  const { server, client } = await pair(t)
  server.resume()
  const detector = new StallDetector(STALL_MS)
  const connection = createConnection(server, undefined)
  assert.deepEqual(await detector.findStalled([connection]), [])
  client.write('x')
  for (const end = performance.now() + STALL_MS; performance.now() < end; );
  assert.deepEqual(await detector.findStalled([connection]), [])
})

test('a client that takes bytes from the kernel only makes progress, and stalls when it stops', async (t) => {
  const { server, client } = await pair(t)
  server.write(MUCH)
  const readsUntil = performance.now() + 3 * STALL_MS
  const timer = setInterval(() => {
    // About 320 KB/s: the kernel would not take more from the server for many seconds.
    if (performance.now() < readsUntil) client.read(16 * 1024)
  }, 50)
  t.after(() => clearInterval(timer))
  assert.ok((await stallsAfter(new StallDetector(STALL_MS), server)) >= 3 * STALL_MS)
})

test('the kernel tells how many bytes a client has not taken', async (t) => {
  const { server, client } = await pair(t)
  assert.deepEqual([...(await unacknowledgedBytes([server]))], [[server, 0]])
  server.write(MUCH)
  await until(async () => (await unacknowledgedBytes([server])).get(server)! > 2 ** 16, 'a queue in the kernel')
  client.resume()
  await until(async () => (await unacknowledgedBytes([server])).get(server) === 0, 'an empty queue')
  server.destroy()
  assert.equal((await unacknowledgedBytes([server])).size, 0)
})
