import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { StaticHeaders } from '../../src/http/plugins/security/static-headers.ts'
import { createResponseClass, writeLinesFirst } from '../../src/node-internals/http-server.ts'

const STATIC = new StaticHeaders({ 'cache-control': 'no-store', 'x-frame-options': 'DENY' })

/** @returns names and values of the response's headers, in the order in which they came */
async function headersOf(t: TestContext, answer: (response: ServerResponse) => unknown): Promise<[string, string][]> {
  const server = createServer({ ServerResponse: createResponseClass(() => false) }, (_request, response) => {
    writeLinesFirst(response, STATIC)
    answer(response)
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const call = request({ port: (server.address() as AddressInfo).port, agent: false }).end()
  const [response] = await once(call, 'response')
  response.resume()
  const { rawHeaders } = response as { rawHeaders: string[] }
  const names = rawHeaders.filter((_, i) => i % 2 === 0)
  return names.map((name, i) => [name.toLowerCase(), rawHeaders[2 * i + 1]!] as [string, string])
}

const ways: [what: string, answer: (response: ServerResponse) => unknown][] = [
  ['an object', (response) => response.writeHead(200, { 'X-Own': '1', 'Cache-Control': 'max-age=9' }).end('x')],
  ['a flat list', (response) => response.writeHead(200, ['X-Own', '1', 'Cache-Control', 'max-age=9']).end('x')],
  [
    'headers that were set before',
    (response) => response.setHeader('X-Own', '1').setHeader('Cache-Control', 'max-age=9').end('x')
  ],
  ['both', (response) => response.setHeader('X-Own', '1').writeHead(200, { 'cache-control': 'max-age=9' }).end('x')]
]

describe('static headers', () => {
  test('are in a response that sets no headers', async (t) => {
    const headers = new Map(await headersOf(t, (response) => response.end('x')))
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('x-frame-options'), 'DENY')
    assert.equal(headers.get('content-length'), '1')
  })

  for (const [what, answer] of ways) {
    test(`are replaced by headers of the response, which are sent once: ${what}`, async (t) => {
      const headers = await headersOf(t, answer)
      const valuesOf = (name: string) => headers.filter(([other]) => other === name).map(([, value]) => value)
      assert.deepEqual(
        [valuesOf('cache-control'), valuesOf('x-frame-options'), valuesOf('x-own')],
        [['max-age=9'], ['DENY'], ['1']]
      )
    })
  }

  test('may be empty', () => {
    assert.equal(new StaticHeaders({}).linesBeside(undefined), '')
  })
})
