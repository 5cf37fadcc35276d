import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { FRONTS, startFront } from '../helpers/fronts.ts'
import { Connection } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'

/** What an attacker tries to put in front of the next request on the connection between proxy and service. */
const HIDDEN = 'GET /echo?id=smuggled HTTP/1.1\r\nHost: x\r\nX-Rest: '
const HOST = 'Host: x\r\n'
const POST = `POST /echo?id=attacker HTTP/1.1\r\n${HOST}`
const chunk = (text: string, extension = '') => `${text.length.toString(16)}${extension}\r\n${text}\r\n`
/** A body that ends at once by its chunks and goes on by its length. */
const EMPTY_THEN_HIDDEN = `0\r\n\r\n${HIDDEN}`
const lengthOf = (body: string) => `Content-Length: ${body.length}\r\n`
/** Length by Content-Length, with one more field, and a body that ends earlier by its chunks. */
const clTe = (field: string) => `${POST}${lengthOf(EMPTY_THEN_HIDDEN)}${field}\r\n\r\n${EMPTY_THEN_HIDDEN}`
/** A chunked body that is longer than its Content-Length says. */
const teCl = (field: string) => `${POST}Content-Length: 4\r\n${field}\r\n\r\n${chunk(`${HIDDEN}y\r\n\r\n`)}0\r\n\r\n`
/** A chunked body with an oddity, and the hidden request behind its end. */
const odd = (body: string) => `${POST}Transfer-Encoding: chunked\r\n\r\n${body}${HIDDEN}`
const get = (lines: string) => `GET /echo?id=attacker HTTP/1.1\r\n${lines}\r\n${HIDDEN}`

/** Requests that two parsers may take for different ones. */
const AMBIGUOUS: Record<string, string> = {
  'CL.TE': clTe('Transfer-Encoding: chunked'),
  'CL.TE, the coding in capitals': clTe('Transfer-Encoding: CHUNKED'),
  'CL.TE, a blank before the colon': clTe('Transfer-Encoding : chunked'),
  'CL.TE, a tab after the colon': clTe('Transfer-Encoding:\tchunked'),
  'CL.TE, a vertical tab after the colon': clTe('Transfer-Encoding:\x0bchunked'),
  'CL.TE, a blank before the name': clTe(' Transfer-Encoding: chunked'),
  'CL.TE, an underscore in the name': clTe('Transfer_Encoding: chunked'),
  'CL.TE, a quoted coding': clTe('Transfer-Encoding: "chunked"'),
  'CL.TE, an unknown coding': clTe('Transfer-Encoding: xchunked'),
  'CL.TE, identity': clTe('Transfer-Encoding: identity'),
  'CL.TE, chunked and then identity': clTe('Transfer-Encoding: chunked, identity'),
  'CL.TE, chunked twice': clTe('Transfer-Encoding: chunked, chunked'),
  'CL.TE, an empty element before chunked': clTe('Transfer-Encoding: , chunked'),
  'CL.TE, a parameter': clTe('Transfer-Encoding: chunked;q=1'),
  'CL.TE, folded': clTe('Transfer-Encoding:\r\n chunked'),
  'CL.TE, hidden in a folded field': clTe('X-Folded: a\r\n Transfer-Encoding: chunked'),
  'CL.TE, behind a bare line feed': clTe('X-A: b\nTransfer-Encoding: chunked'),
  'CL.TE, behind a bare carriage return': clTe('X-A: b\rTransfer-Encoding: chunked'),
  'CL.TE, behind a NUL': clTe('X-A: b\0\r\nTransfer-Encoding: chunked'),
  'CL.TE, a NUL in the coding': clTe('Transfer-Encoding: chunked\0'),
  'CL.TE in HTTP/1.0': clTe('Transfer-Encoding: chunked').replace('HTTP/1.1', 'HTTP/1.0'),
  'CL.TE, Connection names Content-Length': clTe('Connection: Content-Length\r\nTransfer-Encoding: chunked'),
  'CL.TE, Connection names Transfer-Encoding': clTe('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked'),
  'TE.CL': teCl('Transfer-Encoding: chunked'),
  'TE.CL, a blank before the colon': teCl('Transfer-Encoding : chunked'),
  'TE.CL, folded': teCl('Transfer-Encoding:\r\n\tchunked'),
  'TE.TE, the second one unknown': teCl('Transfer-Encoding: chunked\r\nTransfer-Encoding: x'),
  'TE.TE, the first one unknown': teCl('Transfer-Encoding: x\r\nTransfer-Encoding: chunked'),
  'TE.TE, one with an odd name': teCl('Transfer-Encoding: chunked\r\nTransfer-encoding\t: identity'),
  'Content-Length twice, the shorter first': `${POST}Content-Length: 0\r\n${lengthOf(HIDDEN)}\r\n${HIDDEN}`,
  'Content-Length twice, the longer first': `${POST}${lengthOf(HIDDEN)}Content-Length: 0\r\n\r\n${HIDDEN}`,
  'Content-Length with a list': `${POST}Content-Length: 0, ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'Content-Length with a sign': `${POST}Content-Length: +${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'Content-Length below zero': `${POST}Content-Length: -1\r\n\r\n${HIDDEN}`,
  'Content-Length in hexadecimal': `${POST}Content-Length: 0x5\r\n\r\nhello${HIDDEN}`,
  'Content-Length with a blank in it': `${POST}Content-Length: 0 ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'Content-Length beyond 64 bits': `${POST}Content-Length: 18446744073709551616\r\n\r\n${HIDDEN}`,
  'Content-Length, a blank before the colon': `${POST}Content-Length : ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'Content-Length folded': `${POST}Content-Length:\r\n ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'Content-Length empty': `${POST}Content-Length:\r\n\r\n${HIDDEN}`,
  'GET with a body': get(`${HOST}${lengthOf(HIDDEN)}`),
  'HEAD with a body': get(`${HOST}${lengthOf(HIDDEN)}`).replace('GET', 'HEAD'),
  'HTTP/0.9 in front': `GET /echo?id=attacker\r\n\r\n${HIDDEN}`,
  'an unknown version': get(HOST).replace('HTTP/1.1', 'HTTP/1.9'),
  'bare line feeds': get(HOST).replaceAll('\r\n', '\n'),
  'a bare line feed at the end of the head': `GET /echo?id=attacker HTTP/1.1\r\nHost: x\n\n${HIDDEN}`,
  'a bare carriage return at the end of the head': `GET /echo?id=attacker HTTP/1.1\r\nHost: x\r\n\r${HIDDEN}`,
  'a line feed in the target': `GET /echo?id=attacker\nX: y HTTP/1.1\r\n${HOST}\r\n${HIDDEN}`,
  'a request line encoded in the target': get(HOST).replace('attacker', 'a%20HTTP/1.1%0d%0aX:%20y'),
  'a chunk size with a prefix': odd(`0x5\r\nhello\r\n0\r\n\r\n`),
  'a chunk size with a sign': odd(`+5\r\nhello\r\n0\r\n\r\n`),
  'a chunk size beyond 64 bits': odd(`10000000000000005\r\nhello\r\n0\r\n\r\n`),
  'a chunk size with zeroes in front': odd(`${'0'.repeat(40)}5\r\nhello\r\n0\r\n\r\n`),
  'a blank behind a chunk size': odd(`5 \r\nhello\r\n0\r\n\r\n`),
  'a chunk extension': odd(`${chunk('hello', ';a=b')}0\r\n\r\n`),
  'a chunk extension with a line feed': odd(`${chunk('hello', ';a\nb')}0\r\n\r\n`),
  'a chunk extension with a carriage return': odd(`${chunk('hello', ';a\rb')}0\r\n\r\n`),
  'a chunk extension that looks like an end': odd(`5;\n0\n\nhello\r\n0\r\n\r\n`),
  'a chunk extension of 20 KiB': odd(`${chunk('hello', `;${'a'.repeat(20_000)}`)}0\r\n\r\n`),
  'a chunk that a bare line feed ends': odd(`5\nhello\n0\n\n`),
  'a chunk that nothing ends': odd(`5\r\nhello0\r\n\r\n`),
  'a chunk that ends too late': odd(`5\r\nhelloXX0\r\n\r\n`),
  'a last chunk that a line feed ends': odd(`${chunk('hello')}0\n\n`),
  'a trailer that is a request': odd(`${chunk('hello')}0\r\n${HIDDEN}\r\n\r\n`),
  'a trailer with Content-Length': odd(`${chunk('hello')}0\r\n${lengthOf(HIDDEN)}\r\n`),
  'a trailer with Transfer-Encoding': odd(`${chunk('hello')}0\r\nTransfer-Encoding: chunked\r\n\r\n`),
  'absolute form and another Host': get('Host: y\r\n').replace('/echo', 'http://x/echo'),
  'absolute form with a user': get(HOST).replace('/echo', 'http://a@x:1/echo'),
  'Host twice': get('Host: x\r\nHost: y\r\n'),
  'Host with a blank in front': get(' Host: x\r\n'),
  'Host with a path': get('Host: x/y?z\r\n'),
  'no Host': get(''),
  'Expect and a body': `${POST}Expect: 100-continue\r\n${lengthOf(HIDDEN)}\r\n${HIDDEN}`,
  'an unknown Expect': `${POST}Expect: y 100-continue\r\n${lengthOf(HIDDEN)}\r\n${HIDDEN}`,
  'Upgrade with a body': `${POST}Connection: upgrade\r\nUpgrade: websocket\r\n${lengthOf(HIDDEN)}\r\n${HIDDEN}`,
  'Upgrade to HTTP/2': get(
    `${HOST}Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n`
  ),
  'the preface of HTTP/2': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${HIDDEN}`,
  'CONNECT with a body': `CONNECT x:80 HTTP/1.1\r\n${HOST}${lengthOf(HIDDEN)}\r\n${HIDDEN}`,
  'a field name with a colon in it': clTe('X:Transfer-Encoding: chunked'),
  'a field without a colon': clTe('Transfer-Encoding chunked'),
  'a field without a name': clTe(': chunked')
}

/** Sends the bytes of an attack; the connection stays open, so that whatever waits for more goes on waiting. */
async function attack(t: Pick<TestContext, 'after'>, port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  t.after(() => socket.destroy())
  await new Promise<void>((resolve) => {
    socket.once('data', () => resolve()).once('close', () => resolve())
    socket.write(bytes, 'latin1')
    // Some attacks are not answered, because their body is not complete.
    setTimeout(resolve, 300).unref()
  })
  return socket
}

/** What a client gets that asks for something innocent. */
async function victim(port: number, id: string): Promise<string> {
  try {
    const connection = await Connection.open(port)
    try {
      const first = await connection.request('GET', `/echo?id=${id}`)
      const second = await connection.request('POST', `/echo?id=${id}`, { 'content-length': '0' })
      return [first, second].map(({ status, body }) => `${status} ${JSON.parse(body).id}`).join()
    } finally {
      connection.close()
    }
  } catch (error) {
    return (error as Error).message
  }
}

/** Attacks, then what victims get that was not their own. */
async function desyncs(
  t: Pick<TestContext, 'after'>,
  port: number,
  rounds: number,
  attacks = AMBIGUOUS
): Promise<string[]> {
  const found: string[] = []
  for (const [name, bytes] of Object.entries(attacks)) {
    for (let round = 0; round < rounds; round++) {
      const socket = await attack(t, port, bytes)
      for (const when of ['during', 'after']) {
        const ids = [0, 1].map((nth) => `${when}-${round}-${nth}`)
        for (const id of ids) {
          const got = await victim(port, id)
          if (got !== `200 ${id},200 ${id}`) found.push(`${name}: ${id} got ${got}`)
        }
        socket.destroy()
      }
    }
  }
  return found
}

/** A server that takes every body for the next request. */
function startCareless(t: Pick<TestContext, 'after'>): Promise<number> {
  const server = createServer((socket) => {
    let text = ''
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', (more: string) => {
      text += more
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const body = JSON.stringify({ id: /id=([\w-]+)/.exec(text)?.[1] })
        text = text.slice(end + 4)
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      }
    })
  })
  t.after(() => server.close())
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
}

describe('request smuggling', () => {
  for (const front of FRONTS) {
    test(`behind ${front.name}, no ambiguous request changes what another client gets`, {
      skip: missing(front.program)
    }, async (t) => {
      const { url, client } = await startRedis(t)
      const service = await startService(t, { workers: 1, env: { REDIS_URL: url, APP: fixture('edge') } })
      const port = await startFront(t, front, service.port)
      assert.deepEqual(await desyncs(t, port, sizeOf('SMUGGLING_ROUNDS', 3)), [])
      assert.equal(await client.get('without-edge'), null, 'the service served a request that the proxy did not see')
    })
  }

  for (const front of FRONTS) {
    test(`behind ${front.name}, this test detects a service that treats bodies as requests`, {
      skip: missing(front.program)
    }, async (t) => {
      const port = await startFront(t, front, await startCareless(t))
      const found = await desyncs(t, port, 1, { 'POST with a body': `${POST}${lengthOf(HIDDEN)}\r\n${HIDDEN}` })
      assert.match(found[0] ?? '', /^POST with a body: during-0-0 got .*smuggled/)
    })
  }
})
