import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProxyHeader } from '../../src/net/proxy-protocol.ts'
import { proxyV2 } from '../helpers/proxy-protocol.ts'

const HEADERS: [text: Buffer, client: { address: string; port: number } | undefined][] = [
  [Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n'), { address: '192.0.2.7', port: 4711 }],
  [Buffer.from('PROXY TCP6 2001:DB8:0::7 2001:db8::1 4711 80\r\n'), { address: '2001:db8::7', port: 4711 }],
  [Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 80\r\n'), { address: '192.0.2.7', port: 4711 }],
  [Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  [Buffer.from('PROXY UNKNOWN ::1 ::1 1 2\r\n'), undefined],
  [proxyV2('192.0.2.7', 4711), { address: '192.0.2.7', port: 4711 }],
  [proxyV2('192.0.2.7', 4711, Buffer.alloc(100)), { address: '192.0.2.7', port: 4711 }],
  [proxyV2('2001:db8::7', 4711), { address: '2001:db8::7', port: 4711 }],
  [proxyV2(undefined), undefined]
]

test('a PROXY header of either version is read, however it is cut, and nothing behind it', () => {
  for (const [header, client] of HEADERS) {
    for (let end = 0; end < header.length; end++) assert.equal(parseProxyHeader(header.subarray(0, end)), undefined)
    for (const rest of ['', 'GET / HTTP/1.1\r\n']) {
      assert.deepEqual(parseProxyHeader(Buffer.concat([header, Buffer.from(rest)])), { length: header.length, client })
    }
  }
})

test('what is no PROXY header is refused as soon as it can be told', () => {
  const version = proxyV2('192.0.2.7', 1)
  version[12] = 0x11
  const short = proxyV2('192.0.2.7', 1)
  short.writeUInt16BE(4, 14)
  const long = proxyV2('192.0.2.7', 1)
  long.writeUInt16BE(5000, 14)
  for (const bad of [
    'G',
    'PROXX',
    'PROXY TCP4 192.0.2.7\r\n',
    'PROXY TCP4 2001:db8::7 ::1 1 2\r\n',
    'PROXY TCP4 192.0.2.300 192.0.2.1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 192.0.2.1 70000 2\r\n',
    'PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n',
    `PROXY TCP4 ${'1'.repeat(120)}`,
    '\r\n\r\nGET',
    version,
    short,
    long
  ]) {
    assert.throws(() => parseProxyHeader(Buffer.from(bad)), Error, String(bad))
  }
})
