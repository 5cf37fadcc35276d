import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Authority } from '../helpers/certificates.ts'
import { Http2Client } from '../helpers/http2.ts'
import { DATA, END_STREAM, type Frame, FrameClient } from '../helpers/http2-frames.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type StartOptions, startService } from '../helpers/service.ts'

async function startSecurely(t: TestContext, options: StartOptions = {}) {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, TLS_CERT: cert, TLS_KEY: key, ...options.env }
  const service = await startService(t, { workers: 1, ...options, env })
  return { service, ca: readFileSync(authority.file, 'utf8') }
}

test('an HTTP/2 response ends with its last DATA frame, not with an empty one behind it; trailers still arrive', async (t) => {
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
