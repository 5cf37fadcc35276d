import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { OutgoingFrames } from '../../src/worker/transfer/outgoing-frames.ts'

const WEBSOCKET = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
const CLOSE_1012 = [0x88, 0x02, 0x03, 0xf4]

/** A frame of a server, or with `mask` one that a careless proxy passes on. */
function frame(payload: number, opcode = 2, mask = false): Buffer {
  const bit = mask ? 0x80 : 0
  const size =
    payload < 126
      ? Buffer.from([payload | bit])
      : payload < 65_536
        ? Buffer.from([126 | bit, payload >> 8, payload & 0xff])
        : Buffer.from([
            127 | bit,
            0,
            0,
            0,
            0,
            payload >>> 24,
            (payload >> 16) & 0xff,
            (payload >> 8) & 0xff,
            payload & 0xff
          ])
  return Buffer.concat([Buffer.from([0x80 | opcode]), size, Buffer.alloc(mask ? 4 : 0), Buffer.alloc(payload, 'x')])
}

async function openSocket(
  t: TestContext
): Promise<{ socket: Socket; frames: OutgoingFrames; received: () => Promise<Buffer> }> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = connect((listener.address() as { port: number }).port, '127.0.0.1')
  const [socket] = (await once(listener, 'connection')) as [Socket]
  t.after(() => {
    client.destroy()
    socket.destroy()
    listener.close()
  })
  client.on('error', () => {})
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  const received = async () => {
    socket.end()
    await once(client, 'end')
    return Buffer.concat(chunks)
  }
  return { socket, frames: new OutgoingFrames(socket), received }
}

test('a close frame is written between two frames only, wherever the writes are split', async (t) => {
  const { socket, frames, received } = await openSocket(t)
  assert.equal(frames.isOpen, false, 'the upgrade is not answered yet')
  const bytes = Buffer.concat([
    Buffer.from(WEBSOCKET),
    ...[0, 1, 125, 126, 127, 65_535, 65_536, 70_000].flatMap((size) => [frame(size), frame(size, 1, true)])
  ])
  const ends = new Set<number>()
  let end = WEBSOCKET.length
  ends.add(end)
  for (const size of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) {
    ends.add((end += frame(size).length))
    ends.add((end += frame(size, 1, true).length))
  }
  let written = 0
  let seed = 1
  while (written < bytes.length) {
    seed = (seed * 48_271) % 2_147_483_647
    const next = Math.min(written + 1 + (seed % (written % 3 === 0 ? 3 : 3000)), bytes.length)
    socket.write(bytes.subarray(written, next))
    written = next
    if (!ends.has(written)) assert.equal(frames.close(), false, `in the middle of a frame, after ${written} bytes`)
  }
  assert.equal(frames.close(), true)
  assert.equal(frames.isOpen, false)
  assert.equal(frames.close(), false, 'a second time')
  assert.deepEqual(await received(), Buffer.concat([bytes, Buffer.from(CLOSE_1012)]))
})

test('a head in two parts, and a frame in the same write, are understood', async (t) => {
  const { socket, frames, received } = await openSocket(t)
  socket.write(WEBSOCKET.slice(0, 30), 'latin1')
  socket.write(Buffer.concat([Buffer.from(WEBSOCKET.slice(30)), frame(5).subarray(0, 4)]))
  assert.equal(frames.isOpen, true)
  assert.equal(frames.close(), false)
  socket.write(frame(5).subarray(4))
  assert.equal(frames.close(), true)
  assert.deepEqual([...(await received()).subarray(-4)], CLOSE_1012)
})

test('a socket that its library has closed, or that ends, gets no other close frame', async (t) => {
  const closed = await openSocket(t)
  closed.socket.write(WEBSOCKET)
  closed.socket.write(frame(2, 8))
  assert.equal(closed.frames.close(), false)
  const ended = await openSocket(t)
  ended.socket.write(WEBSOCKET)
  ended.socket.end()
  assert.equal(ended.frames.close(), false)
})

for (const [name, answer] of Object.entries({
  'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n',
  'a refusal': 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n',
  'no head at all': 'x'.repeat(20_000)
})) {
  test(`after ${name}, the connection is no WebSocket and is not followed`, async (t) => {
    const { socket, frames } = await openSocket(t)
    assert.ok(Object.hasOwn(socket, 'write'))
    socket.write(answer)
    assert.equal(frames.isOpen, false)
    assert.equal(frames.close(), false)
    assert.ok(!Object.hasOwn(socket, 'write'))
  })
}
