import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { StaticHeaders, setStaticHeaders } from '../../src/http/plugins/security/static-headers.ts'
import { createResponseClass, type GivenHeaders, writeLinesFirst } from '../../src/node-internals/http-server.ts'
import { Response } from '../../src/node-internals/http2-messages.ts'

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
    (response) => {
      response.setHeader('X-Own', '1')
      response.setHeader('Cache-Control', 'max-age=9')
      response.end('x')
    }
  ],
  [
    'both',
    (response) => {
      response.setHeader('X-Own', '1')
      response.writeHead(200, { 'cache-control': 'max-age=9' }).end('x')
    }
  ]
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
    assert.equal(new StaticHeaders({}).linesBeside(undefined, 200), '')
  })

  const documents = new StaticHeaders(
    { 'cache-control': 'no-store', policy: 'none', frame: 'DENY', other: '1' },
    { policy: 'self', frame: '' }
  )
  const kinds: [what: string, given: GivenHeaders, status: number, lines: string[]][] = [
    ['JSON', { 'content-type': 'application/json' }, 200, ['cache-control: no-store', 'policy: none', 'frame: DENY']],
    ['a style sheet', { 'content-type': 'text/css' }, 200, ['cache-control: no-store', 'policy: none', 'frame: DENY']],
    ['HTML', { 'content-type': 'text/html; charset=utf-8' }, 200, ['cache-control: no-store', 'policy: self']],
    ['HTML in capitals', { 'Content-Type': 'TEXT/HTML' }, 404, ['cache-control: no-store', 'policy: self']],
    [
      'HTML as Node keeps it',
      { 'content-type': ['Content-Type', 'text/html'] },
      200,
      ['cache-control: no-store', 'policy: self']
    ],
    [
      'HTML in a flat list',
      ['x', 'text/plain', 'content-type', 'text/html'],
      200,
      ['cache-control: no-store', 'policy: self']
    ],
    ['HTML in pairs', [['content-type', 'text/html']] as never, 200, ['cache-control: no-store', 'policy: self']],
    [
      'a script, which may be a worker',
      { 'content-type': 'text/javascript' },
      200,
      ['cache-control: no-store', 'policy: self']
    ],
    ['HTML with its own policy', { 'content-type': 'text/html', policy: 'own' }, 200, ['cache-control: no-store']],
    ['an ETag', { etag: '"x"' }, 200, ['policy: none', 'frame: DENY']],
    ['a date', { 'last-modified': 'now', expires: 'soon' }, 200, ['policy: none', 'frame: DENY']],
    ['304, whose headers replace stored ones', { etag: '"x"' }, 304, []]
  ]
  for (const [what, given, status, lines] of kinds) {
    test(`depend on the kind of the response: ${what}`, () => {
      const expected = [...lines, 'other: 1']
      for (const _ of ['written', 'kept']) {
        assert.equal(documents.linesBeside(given, status), expected.map((line) => `${line}\r\n`).join(''))
      }
      const pairs = documents.pairsBeside([undefined, given], status)
      assert.deepEqual(
        pairs.map((pair) => pair.join(': ')),
        expected
      )
    })
  }

  for (const [what, answer] of ways) {
    test(`are also in responses of HTTP/2: ${what}`, async (t) => {
      const server = createHttp2Server({ Http2ServerResponse: Response as never }, (_request, raw) => {
        setStaticHeaders({ raw } as never, STATIC)
        answer(raw as unknown as ServerResponse)
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      t.after(() => {
        session.destroy()
        server.close()
      })
      const [headers] = await once(session.request({ ':path': '/' }).resume(), 'response')
      assert.deepEqual(
        [headers['cache-control'], headers['x-frame-options'], headers['x-own']],
        ['max-age=9', 'DENY', '1']
      )
    })
  }
})
