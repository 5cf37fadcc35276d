import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { SECURITY_HEADERS } from '../../src/http/plugins/security/security-headers.ts'
import { startApp } from '../helpers/app.ts'

const DATA = new URL('../../../test/data/http-requests/', import.meta.url)

/** Bytes of a file of the collection: its line feeds are layout, only the escapes count. */
function requestOf(file: string): Buffer {
  const escapes: Record<string, string> = { r: '\r', n: '\n', t: '\t', '0': '\0' }
  const text = readFileSync(new URL(file, DATA), 'latin1')
    .replaceAll('\n', '')
    .replace(/\\(?:x([\da-f]{2})|([rnt0]))/gi, (_all, hex?: string, letter = '') =>
      hex ? String.fromCharCode(Number.parseInt(hex, 16)) : escapes[letter]!
    )
  return Buffer.from(text, 'latin1')
}

/** Adds a Host to requests without one, so that only the intended fault remains. */
function withHost(request: Buffer): Buffer {
  const text = request.toString('latin1')
  if (/\nhost:/i.test(text)) return request
  return Buffer.from(text.replaceAll(' HTTP/1.1\r\n', ' HTTP/1.1\r\nHost: localhost\r\n'), 'latin1')
}

/** Returns everything that the server sends until it closes. */
function send(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    socket.on('close', () => resolve(text)).on('error', reject)
  })
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => Number(match[1]))

/** Exceptions in `invalid`: requests that are answered, with the reason. */
const ACCEPTED: Record<string, string> = {
  '006.http': 'longer than a limit set in that test; ours is 8 KiB',
  '007.http': 'longer than a limit set in that test; ours is 16 KiB for the whole head',
  '011.http': 'more fields than a limit set in that test; ours is 100',
  '012.http': 'a larger field than a limit set in that test; ours is 16 KiB for the whole head',
  '017.http': 'a larger field than a limit set in that test; ours is 16 KiB for the whole head',
  '010.http': 'more fields than a limit set in that test: it has one, with the Host that is added here',
  '019.http': 'X-Forwarded-Proto and X-Forwarded-Ssl disagree: no proxy is trusted, so neither is read',
  '040.http': 'names with an underscore are names of RFC 9110; nothing here maps them to others',
  'chunked_07.http': 'the same: Transfer_Encoding is a name like any other',
  'limit_header_default_01.http': 'larger than a field may be there; ours is 16 KiB for the whole head',
  'rfc9110_trailer_forbidden_host_01.http': 'trailers are dropped unread: no name in them can mean anything'
}

/** Exceptions in `valid`: requests with another status than 200, with the reason in the standards. */
const ANSWERED: Record<string, [statuses: number[], why: string]> = {
  '009.http': [
    [400],
    'RFC 9112 6.1: identity is no transfer coding any more, and beside a Content-Length it is an attack'
  ],
  '013.http': [[400], "a chunk extension with blanks in it, which no client sends: Node's parser"],
  '019.http': [[200], 'HTTP/1.0: the connection ends with the first answer'],
  '020.http': [[200], 'the second is the body of the first'],
  '021.http': [[200], 'Connection: Close'],
  '025.http': [[501], 'RFC 9112 6.1: a coding that is not understood'],
  '025_line.http': [[501], 'the same'],
  '027.http': [[400], 'RFC 3986: a target is ASCII'],
  '028.http': [[400], 'RFC 9112 5.1: a blank before the colon must be refused'],
  '029.http': [[501], 'RFC 9112 6.1: identity is no transfer coding any more'],
  '030.http': [[501], 'the same'],
  '031.http': [[501], 'RFC 9110 9.1: a method that is not known'],
  '031compat.http': [[501], 'the same'],
  '031compat2.http': [[501], 'the same'],
  '099.http': [[408], 'its body is shorter than it says once line feeds are dropped'],
  'compat_obs_fold.http': [[400], 'RFC 9112 5.2: folded lines may be refused'],
  'compat_obs_fold_huge.http': [[400], 'the same'],
  'pp_01.http': [[400], 'the PROXY protocol is not spoken here'],
  'pp_02.http': [[400], 'the same'],
  'pp_04.http': [[400], 'the same'],
  'pp_05.http': [[400], 'the same'],
  'rfc9112_smuggle_gzip_chunked_01.http': [[501], 'RFC 9112 6.1: a coding that is not understood'],
  'rfc9112_smuggle_te_identity_chunked_01.http': [[501], 'the same'],
  'rfc9112_target_asterisk_options_01.http': [[204], 'OPTIONS has no content'],
  'rfc9112_target_authority_connect_01.http': [[405], 'this server is not a proxy'],
  'rfc9112_target_authority_ipv6_01.http': [[405], 'this server is not a proxy']
}

/** A worker's server with one route that answers 200 to every accepted request. */
const startOpen = (t: Parameters<typeof startApp>[0]) =>
  startApp(t, {
    listen: true,
    env: { HEADERS_TIMEOUT: '400', REQUEST_TIMEOUT: '400', KEEP_ALIVE_TIMEOUT: '300' },
    routes: async (app) => {
      app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
      app.all('/*', async () => 'through')
    }
  })

test('requests of the standards, byte by byte', async (t) => {
  const invalid = readdirSync(new URL('invalid', DATA))
  const valid = readdirSync(new URL('valid', DATA))
  const answers = new Map<string, string>()
  const { port } = await startOpen(t)
  const all = [...invalid.map((file) => `invalid/${file}`), ...valid.map((file) => `valid/${file}`)]
  await Promise.all(
    all.map(async (file) => {
      answers.set(`${file} as it is`, await send(port, requestOf(file)))
      answers.set(file, await send(port, withHost(requestOf(file))))
    })
  )

  await t.test('invalid requests are refused, except for those listed here', () => {
    for (const file of invalid) {
      const statuses = statusesOf(answers.get(`invalid/${file}`)!)
      if (ACCEPTED[file]) assert.equal(statuses[0], 200, `${file} is refused: it need not be listed`)
      else assert.ok(statuses.length <= 1 && !statuses.includes(200), `${file}: ${statuses}`)
    }
  })

  await t.test('valid requests are answered as the standards require', () => {
    for (const file of valid) {
      const expected =
        ANSWERED[file]?.[0] ??
        requestOf(`valid/${file}`)
          .toString('latin1')
          .match(/ HTTP\/1/g)!
          .map(() => 200)
      assert.deepEqual(statusesOf(answers.get(`valid/${file}`)!), expected, file)
    }
  })

  await t.test('HTTP/1.1 without a Host is refused', () => {
    let without = 0
    for (const file of valid) {
      const request = requestOf(`valid/${file}`)
      if (withHost(request) === request || !/^[^\n]* HTTP\/1\.1\r\n/.test(request.toString('latin1'))) continue
      assert.match(answers.get(`valid/${file} as it is`)!, /^HTTP\/1\.1 (400|408|414|501) /, file)
      without++
    }
    assert.ok(without > 10, String(without))
  })

  await t.test(
    'every refusal has the JSON shape and the security headers, reveals nothing, and closes the connection',
    () => {
      for (const [file, text] of answers) {
        const last = text.split(/(?=HTTP\/1\.1 \d{3} )/).at(-1)!
        const [head = '', body = ''] = last.split('\r\n\r\n')
        const status = statusesOf(last)[0]!
        for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
          assert.ok(
            head.toLowerCase().includes(`${name}: ${value.toLowerCase()}`),
            `${file}: ${name} is not in ${head}`
          )
        }
        assert.doesNotMatch(head, /^(server|x-powered-by):/im, file)
        if (status < 400) continue
        assert.match(head, /^connection: close\r?$/im, file)
        assert.match(head, /^content-type: application\/json/im, file)
        const { statusCode, ...rest } = JSON.parse(body)
        assert.deepEqual([statusCode, ...Object.keys(rest)], [status, 'code', 'error', 'message'], file)
      }
    }
  )
})
