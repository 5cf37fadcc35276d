import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { KeepAliveLoad, type LoadRequest } from '../compat/keep-alive-load.ts'
import { until } from '../helpers/until.ts'

/** Runs load against a server until this many requests have ended, well or badly. */
async function loadOn(t: TestContext, listener: RequestListener, wanted: LoadRequest = {}): Promise<KeepAliveLoad> {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const load = new KeepAliveLoad(t, (server.address() as AddressInfo).port, wanted)
  await until(() => requests >= 40, '40 requests')
  return load.stop()
}

test('a server that keeps its connections and answers right has no findings', async (t) => {
  const load = await loadOn(t, (_request, response) => response.end('hello'), { body: /^hello$/ })
  assert.deepEqual([...load.failures], [])
  assert.equal(load.closed, 0)
  assert.ok(load.answered >= 40)
})

test('connections that the server closes are counted, with and without an announcement', async (t) => {
  const announced = await loadOn(t, (_request, response) => response.setHeader('connection', 'close').end())
  assert.ok(announced.closed >= 30, `${announced.closed}`)
  const silent = await loadOn(t, (request, response) => response.end(() => request.socket.destroy()))
  assert.ok(silent.closed >= 30, `${silent.closed}`)
})

test('wrong answers and cut connections are failures', async (t) => {
  const wrong = await loadOn(t, (_request, response) => void response.writeHead(503).end('busy'))
  assert.deepEqual([...wrong.failures.keys()], ['a wrong answer: 503 busy'])
  const other = await loadOn(t, (_request, response) => response.end('hello'), { body: /world/ })
  assert.deepEqual([...other.failures.keys()], ['a wrong answer: 200 hello'])
  const cut = await loadOn(t, (request) => void request.socket.destroy())
  assert.deepEqual([...cut.failures.keys()], ['socket hang up'])
  assert.equal(cut.answered, 0)
})
