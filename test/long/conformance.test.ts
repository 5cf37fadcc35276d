import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'

interface Case {
  name: string
  /** The bytes of the request; `|` is where the client pauses. */
  request: string
  /** The status codes of the responses, in order: each one of a list. */
  statuses: number[][]
}

const CLOSE = 'Connection: close\r\n\r\n'
const OK = [200]
const REFUSED = [400]
const POST = 'POST /hits HTTP/1.1\r\nHost: localhost\r\n'
const GET = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n'

/** A complete request that arrives in two pieces is answered when it is complete, and not before. */
const pieces: Case[] = Object.entries({
  'in the method': 'G|ET /livez HTTP/1.1\r\nHost: localhost\r\n',
  'behind the method': 'GET |/livez HTTP/1.1\r\nHost: localhost\r\n',
  'in the target': 'GET /li|vez HTTP/1.1\r\nHost: localhost\r\n',
  'behind the target': 'GET /livez |HTTP/1.1\r\nHost: localhost\r\n',
  'in the version': 'GET /livez HTTP|/1.1\r\nHost: localhost\r\n',
  'behind the version': 'GET /livez HTTP/1.1|\r\nHost: localhost\r\n',
  'in the first line end': 'GET /livez HTTP/1.1\r|\nHost: localhost\r\n',
  'behind the request line': 'GET /livez HTTP/1.1\r\n|Host: localhost\r\n',
  'in a field name': 'GET /livez HTTP/1.1\r\nHo|st: localhost\r\n',
  'behind a colon': 'GET /livez HTTP/1.1\r\nHost:| localhost\r\n',
  'in a field value': 'GET /livez HTTP/1.1\r\nHost: local|host\r\n',
  'in the end of a field': 'GET /livez HTTP/1.1\r\nHost: localhost\r|\n'
}).map(([where, head]) => ({ name: `cut ${where}`, request: `${head}${CLOSE}`, statuses: [OK] }))

const cases: Case[] = [
  ...pieces,
  { name: 'cut in the end of the head', request: `${GET}Connection: close\r\n\r|\n`, statuses: [OK] },
  {
    name: 'cut in a body',
    request: `${POST}Content-Length: 2\r\nContent-Type: application/json\r\n${CLOSE}{|}`,
    statuses: [OK]
  },
  {
    name: 'cut in a chunk',
    request: `${POST}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n${CLOSE}2\r\n{|}\r\n0\r\n\r\n`,
    statuses: [OK]
  },
  { name: 'a GET', request: `${GET}${CLOSE}`, statuses: [OK] },
  {
    name: 'a field name in any case, a tab before its value, an empty field',
    request: `GET /livez HTTP/1.1\r\nhoSt:\tlocalhost\r\nempty:\r\n${CLOSE}`,
    statuses: [OK]
  },
  { name: 'a field with blanks alone', request: `${GET}X-Blank:   \r\n${CLOSE}`, statuses: [OK] },
  {
    name: 'a POST with a length',
    request: `${POST}Content-Length: 2\r\nContent-Type: application/json\r\n${CLOSE}{}`,
    statuses: [OK]
  },
  {
    name: 'an absolute target',
    request: `GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n${CLOSE}`,
    statuses: [OK]
  },
  { name: 'empty lines in front', request: `\r\n\r\n${GET}${CLOSE}`, statuses: [OK] },
  { name: 'two requests in one packet', request: `${GET}\r\n${GET}${CLOSE}`, statuses: [OK, OK] },
  { name: 'HTTP/1.0 without Host', request: 'GET /livez HTTP/1.0\r\n\r\n', statuses: [OK] },
  {
    name: 'Expect: 100-continue',
    request: `${POST}Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n${CLOSE}|{}`,
    statuses: [[100], OK]
  },
  { name: 'an unknown expectation', request: `${GET}Expect: a-miracle\r\n${CLOSE}`, statuses: [[417]] },
  {
    name: 'a path that is not there',
    request: `GET /nowhere HTTP/1.1\r\nHost: localhost\r\n${CLOSE}`,
    statuses: [[404]]
  },
  {
    name: 'a body that is too long',
    request: `${POST}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n`,
    statuses: [[413]]
  },
  { name: 'no version', request: 'GET / \r\n\r\n', statuses: [REFUSED] },
  { name: 'an unknown version', request: 'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n', statuses: [[400, 505]] },
  { name: 'text in front of the method', request: `Extra line${GET}\r\n`, statuses: [REFUSED] },
  { name: 'no Host', request: 'GET / HTTP/1.1\r\n\r\n', statuses: [REFUSED] },
  { name: 'Host twice', request: `${GET}Host: example.org\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a field name with brackets', request: `${GET}X-Wrong[]: x\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a blank before the colon', request: `${GET}X-Wrong : x\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a control character in a value', request: `${GET}X-Wrong: x\x07\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a NUL in a value', request: `${GET}X-Wrong: x\0\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a bare carriage return', request: `${GET}\rX-Wrong: x\r\n\r\n`, statuses: [REFUSED] },
  { name: 'a length below zero', request: `${POST}Content-Length: -1234\r\n\r\n`, statuses: [REFUSED] },
  {
    name: 'a length far below zero',
    request: `${POST}Content-Length: -123456789123456789123456789\r\n\r\n`,
    statuses: [REFUSED]
  },
  { name: 'a length that is no number', request: `${POST}Content-Length: abc\r\n\r\n`, statuses: [REFUSED] },
  { name: 'two lengths', request: `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, statuses: [REFUSED] },
  {
    name: 'a length and chunks',
    request: `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    statuses: [REFUSED]
  },
  {
    name: 'a chunk size that is no number',
    request: `${POST}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nx\r\n{}\r\n0\r\n\r\n`,
    statuses: [REFUSED]
  },
  { name: 'an unknown coding', request: `${POST}Transfer-Encoding: br\r\n\r\n`, statuses: [[501]] }
]

/** Sends the pieces of a request and returns what came until the server closed, and whether some came before the last piece. */
async function exchange(port: number, request: string): Promise<{ text: string; early: string }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let early = ''
  const closed = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the server did not close, after ${text}`)), 60_000)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.on('error', reject)
  })
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more
  })
  const parts = request.split('|')
  for (const [nth, part] of parts.entries()) {
    early = text
    socket.write(part, 'latin1')
    // Nothing must come now, so there is nothing to wait for.
    if (nth < parts.length - 1) await sleep(50)
  }
  await closed
  return { text, early }
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

describe('HTTP/1.1 of the whole service', () => {
  test('each request gets the responses of the standard, and a refusal closes the connection', async (t) => {
    const { url } = await startRedis(t)
    const { port } = await startService(t, { env: { REDIS_URL: url } })
    for (const { name, request, statuses } of cases) {
      await t.test(name, async () => {
        const { text, early } = await exchange(port, request)
        const got = statusesOf(text)
        assert.equal(got.length, statuses.length, text)
        for (const [nth, allowed] of statuses.entries()) assert.ok(allowed.includes(got[nth]!), text)
        if (statuses.length === 1) assert.equal(early, '', 'an answer before the request was complete')
      })
    }
  })
})
