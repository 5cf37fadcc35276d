import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readDrillArguments } from '../../src/cli/drill/drill-arguments.ts'
import { parseRequests, requestsOf, textOf } from '../../src/drill/load/requests.ts'
import { FAULTS } from '../../src/drill/observations.ts'
import { isLoopback, readSettings } from '../../src/drill/target-settings.ts'
import { temporaryFolder } from '../helpers/service.ts'

describe('the requests of an OpenAPI document', () => {
  test('are its GETs, with values for parameters, and without the routes of the service', () => {
    const text = { type: 'string' }
    const paths = {
      '/': { get: {} },
      '/todos/{id}': { get: { parameters: [{ name: 'id', in: 'path', schema: { type: 'integer' } }] }, delete: {} },
      '/users/{name}/{kind}': {
        get: {
          parameters: [
            { name: 'name', in: 'path', schema: text },
            { name: 'kind', in: 'path', schema: { enum: ['a b', 'c'] } },
            { name: 'page', in: 'query', required: true, schema: { minimum: 3, type: 'integer' } },
            { name: 'sort', in: 'query', schema: text }
          ]
        }
      },
      '/orders': { post: {} },
      '/metrics': { get: {} },
      '/admin/status': { get: {} },
      '/livez': { get: {} },
      '/adminer': { get: {} }
    }
    assert.deepEqual(
      requestsOf({ paths }).map(({ method, path }) => `${method} ${path}`),
      ['GET /', 'GET /todos/1', 'GET /users/drill/a%20b?page=3', 'GET /adminer']
    )
  })

  test('include the hit and the sign-out of the example', () => {
    const paths = { '/hits': { get: {}, post: {} }, '/session': { delete: {} } }
    assert.deepEqual(requestsOf({ paths }), [
      { method: 'GET', path: '/hits' },
      { method: 'POST', path: '/hits' },
      { method: 'DELETE', path: '/session', signsOut: true }
    ])
  })
})

describe('the file of requests', () => {
  test('has texts or objects', () => {
    const file = JSON.stringify(['/a', 'POST /b', { method: 'PUT', path: '/c', body: { n: 1 }, counts: 'n' }])
    assert.deepEqual(parseRequests(file), {
      requests: [
        { method: 'GET', path: '/a' },
        { method: 'POST', path: '/b' },
        { method: 'PUT', path: '/c', body: { n: 1 }, counts: 'n' }
      ],
      issues: []
    })
  })

  for (const [file, issues] of [
    ['[', [/^is no JSON/]],
    ['[]', [/^must be a JSON array of requests/]],
    ['[null, "FLY /a"]', [/^request 1 must be a text or an object/, /^request 2 has the method "FLY"/]],
    [
      '[{"method":"GET","path":"a","header":{},"counts":1}]',
      [/^request 1 has the unknown field header/, /path that begins with \//, /name of a field/]
    ],
    ['[{"method":"GET","path":"/a","headers":{"x":"y\\r\\nz: 1"}}]', [/line breaks/]]
  ] as const) {
    test(`is refused with all that is wrong: ${file}`, () => {
      const found = parseRequests(file).issues
      assert.equal(found.length, issues.length, found.join('\n'))
      for (const [i, issue] of issues.entries()) assert.match(found[i]!, issue)
    })
  }
})

test('a request is sent with its own headers, its cookie, and the length of its body in bytes', () => {
  const text = textOf({ method: 'POST', path: '/a', headers: { Accept: 'text/html' }, body: { name: 'ö' } }, 'id=1')
  const [head = '', body] = text.split('\r\n\r\n')
  assert.match(head, /^POST \/a HTTP\/1\.1\r\nhost: localhost\r\naccept: text\/html\r\ncookie: id=1\r\n/)
  assert.match(head, /content-type: application\/json\r\ncontent-length: 13$/)
  assert.equal(body, '{"name":"ö"}')
})

describe('the command line of a drill', () => {
  test('tries every fault for three minutes at most, unless flags say otherwise', (t) => {
    const { faults, seconds, requests } = readDrillArguments([])
    assert.deepEqual([faults, seconds, requests], [FAULTS, 180, undefined])
    const file = join(temporaryFolder(t), 'requests.json')
    writeFileSync(file, '["/a"]')
    const given = readDrillArguments([
      '--faults',
      'reload,kill',
      '--seconds=60',
      '--requests',
      file,
      '--json',
      '--force'
    ])
    assert.deepEqual(given.faults, ['kill', 'reload'])
    assert.deepEqual([given.seconds, given.requests?.length, given.json, given.isForced], [60, 1, true, true])
  })

  for (const [args, message] of [
    [['now'], /takes flags only, not "now"/],
    [['--fault', 'kill'], /unknown flag --fault, did you mean --faults\?/],
    [['--faults', 'kil,dance'], /unknown fault 'kil', did you mean 'kill'\?\nunknown fault 'dance': use kill, stop/],
    [
      ['--seconds', '0', '--max-requests', 'x'],
      /--seconds must be a number from 1 to 600, not 0\n--max-requests must be/
    ],
    [['--html'], /--html needs a value/],
    [['--json=1'], /--json takes no value/],
    [['--requests', '/does/not/exist'], /--requests \/does\/not\/exist cannot be read: ENOENT/]
  ] as const) {
    test(`is refused with the reason: ${args.join(' ')}`, () => {
      assert.throws(() => readDrillArguments([...args]), message)
    })
  }
})

describe('the address of a service', () => {
  test('is taken from its configuration, also where HOST is every address or a socket', () => {
    const addressOf = (config: object, url: string) => readSettings(config as Record<string, unknown>, url).address
    assert.deepEqual(addressOf({ HOST: '0.0.0.0' }, 'http://localhost:80'), {
      host: '127.0.0.1',
      port: 80,
      isSecure: false
    })
    assert.deepEqual(addressOf({ HOST: '::1' }, 'https://localhost:8443'), { host: '::1', port: 8443, isSecure: true })
    assert.equal(addressOf({ HOST: '/run/a.sock' }, '/run/a.sock').path, '/run/a.sock')
  })

  test('is one that no other machine reaches, or not', () => {
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost', '/run/a.sock']) assert.ok(isLoopback(host), host)
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org', 'localhost.example.org'])
      assert.ok(!isLoopback(host), host)
  })
})
