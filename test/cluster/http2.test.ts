import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Authority } from '../helpers/certificates.ts'
import { Http2Client } from '../helpers/http2.ts'
import { DATA, END_STREAM, type Frame, FrameClient, RST_STREAM, WINDOW_UPDATE } from '../helpers/http2-frames.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type StartOptions, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

async function startSecurely(t: TestContext, options: StartOptions = {}) {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, TLS_CERT: cert, TLS_KEY: key, ...options.env }
  const service = await startService(t, { workers: 1, ...options, env })
  return { service, ca: readFileSync(authority.file, 'utf8') }
}

test('an HTTP/2 response ends with its last DATA frame, and trailers still arrive', async (t) => {
  const { service, ca } = await startSecurely(t, { env: { APP: fixture('trailers') } })
  const client = await FrameClient.open(service.port, ca)
  const stream = client.get('/plain')
  const data: Frame[] = []
  for await (const frame of client.frames()) {
    if (frame.stream !== stream || frame.type !== DATA) continue
    data.push(frame)
    if (frame.flags & END_STREAM) break
  }
  assert.deepEqual(
    data.map(({ payload }) => payload.toString()),
    ['{"ok":true}']
  )
  client.socket.destroy()

  const other = await Http2Client.open(service.port, ca)
  const request = other.session.request({ ':path': '/trailers' }).resume()
  const trailers = await new Promise((resolve) => request.once('trailers', resolve))
  assert.equal((trailers as Record<string, string>).checksum, 'abc')
  other.close()
})

const SLOW = { APP: fixture('much'), SEND_TIMEOUT: '1500' }

test('SEND_TIMEOUT ends only the stream whose client reads nothing, PINGs or not', async (t) => {
  const { service, ca } = await startSecurely(t, { env: SLOW })
  const client = await Http2Client.open(service.port, ca)
  const stuck = client.session.request({ ':path': '/much' }).on('error', () => {})
  const pings = setInterval(() => client.session.destroyed || client.session.ping(() => {}), 50)
  t.after(() => clearInterval(pings))
  const good = client.get('/slow?ms=4000&id=1')
  await new Promise((resolve) => stuck.once('close', resolve))
  assert.notEqual(stuck.rstCode, 0)
  assert.equal((await good).body, '{"id":"1"}')
  assert.equal((await client.get('/echo?id=2')).body, '{"id":"2"}')
  client.close()
})

test('SEND_MIN_RATE ends an HTTP/2 stream that is read byte by byte', async (t) => {
  const { service, ca } = await startSecurely(t, { env: SLOW })
  const client = await FrameClient.open(service.port, ca)
  const stream = client.get('/much')
  const one = Buffer.from([0, 0, 0, 1])
  const trickle = setInterval(() => {
    for (const id of [0, stream]) client.send(WINDOW_UPDATE, 0, id, one)
  }, 100)
  t.after(() => clearInterval(trickle))
  let received = 0
  for await (const frame of client.frames()) {
    if (frame.stream !== stream) continue
    if (frame.type === DATA) received += frame.payload.length
    if (frame.type === RST_STREAM) break
  }
  assert.ok(received > 65_535 && received < 66_535, `${received} bytes`)
  client.socket.destroy()
})

test('a response of several slices arrives whole, with END_STREAM on its last DATA frame', async (t) => {
  const { service, ca } = await startSecurely(t, { env: { APP: fixture('trailers') } })
  const client = await FrameClient.open(service.port, ca)
  const stream = client.get('/middle')
  const data: Frame[] = []
  for await (const frame of client.frames()) {
    if (frame.stream !== stream || frame.type !== DATA) continue
    data.push(frame)
    if (frame.flags & END_STREAM) break
  }
  assert.equal(
    data.reduce((sum, { payload }) => sum + payload.length, 0),
    40_000
  )
  assert.ok(data.at(-1)!.payload.length > 0)
  client.socket.destroy()
})

test('HTTP/2 clients that never retry lose no request in a reload', async (t) => {
  const env = { APP: fixture('slow'), KEEP_ALIVE_TIMEOUT: '1000', CANARY_TIME: '0' }
  const { service, ca } = await startSecurely(t, { env, workers: 2 })
  let reloading = true
  let answered = 0
  const user = async () => {
    let latest = Http2Client.open(service.port, ca)
    const session = async (): Promise<Http2Client> => {
      const seen = latest
      const client = await seen
      if (!client.ended) return client
      if (latest === seen) latest = Http2Client.open(service.port, ca)
      return session()
    }
    const lanes = Array.from({ length: 15 }, async (_, lane) => {
      while (reloading) {
        const client = await session()
        const { status } = await client.get(lane % 3 === 0 ? `/slow?ms=${lane}&id=1` : `/echo?id=${lane}`)
        assert.equal(status, 200)
        answered++
      }
    })
    await Promise.all(lanes)
    const client = await latest
    client.close()
  }
  const users = Promise.all(Array.from({ length: 2 }, user))
  // A request that fails ends the test.
  const reloads = async () => {
    for (let reload = 0; reload < 3; reload++) {
      const { connections } = await service.reload()
      assert.equal((connections as DrainStats).cut, 0)
    }
    reloading = false
  }
  await Promise.all([users, reloads()])
  t.diagnostic(`${answered} answers`)
})
