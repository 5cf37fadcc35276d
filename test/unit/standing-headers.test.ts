import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { StaticHeaders, StaticHeadersResponse } from '../../src/http/plugins/security/static-headers.ts'

const STANDING = new StaticHeaders({ 'cache-control': 'no-store', 'x-frame-options': 'DENY' })

/** What a client gets of an answer that is made so: names and values as they came. */
async function answered(t: TestContext, answer: (response: ServerResponse) => unknown): Promise<[string, string][]> {
  const server = createServer({ ServerResponse: StaticHeadersResponse }, (_request, response) => {
    ;(response as StaticHeadersResponse).staticHeaders = STANDING
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

describe('headers that stand in front of all', () => {
  test('are in an answer that says nothing of its own', async (t) => {
    const headers = new Map(await answered(t, (response) => response.end('x')))
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('x-frame-options'), 'DENY')
    assert.equal(headers.get('content-length'), '1')
  })

  for (const [what, answer] of ways) {
    test(`give way to those of the answer, once each: ${what}`, async (t) => {
      const headers = await answered(t, answer)
      const of = (name: string) => headers.filter(([one]) => one === name).map(([, value]) => value)
      assert.deepEqual([of('cache-control'), of('x-frame-options'), of('x-own')], [['max-age=9'], ['DENY'], ['1']])
    })
  }

  test('are none where none stand', () => {
    assert.equal(new StaticHeaders({}).textBeside(undefined), '')
  })
})
