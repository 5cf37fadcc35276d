import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { canonicalAddress } from '../../src/net/forwarded-headers.ts'
import { ClientAddresses } from '../../src/primary/listener/client-address.ts'

/** A connection that comes from this address. */
const from = (address: string) => ({
  getpeername: (out: { address?: string }) => {
    out.address = address
    return 0
  },
  readStop: () => {}
})

test('every spelling of an address is one client: IPv4 within IPv6, capitals, zeros, ports', () => {
  const same: [string, ...string[]][] = [
    [
      '192.0.2.1',
      '::ffff:192.0.2.1',
      '::FFFF:c000:201',
      '0:0:0:0:0:ffff:192.0.2.1',
      '192.0.2.1:8080',
      '[::ffff:192.0.2.1]'
    ],
    ['2001:db8::1', '2001:DB8::1', '2001:db8:0:0::1', '2001:0db8::0001', '[2001:db8::1]', '[2001:db8::1]:443'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['fe80::1', 'fe80::1%eth0', '[fe80::1%eth0]:80'],
    ['192.0.2.2', '192.0.2.2:_hidden']
  ]
  for (const [address, ...others] of same) {
    for (const other of [address, ...others]) assert.equal(canonicalAddress(other), address)
  }
  for (const none of ['unknown', '', '_hidden', '999.1.1.1', '1.2.3.4.5', '[192.0.2.1', '[]:1', ':80']) {
    assert.equal(canonicalAddress(none), undefined, none)
  }
})

describe('the client', () => {
  const clients = new ClientAddresses({ trustProxy: ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'] })

  test('is the peer unless that is a trusted proxy', () => {
    for (const [address, client] of [
      ['203.0.113.5', '203.0.113.5'],
      ['::ffff:203.0.113.5', '203.0.113.5'],
      ['2001:db8::1', '2001:db8::1'],
      ['10.200.3.4', undefined],
      ['::ffff:10.200.3.4', undefined],
      ['192.0.2.7', undefined],
      ['192.0.2.8', '192.0.2.8'],
      ['fd12::3', undefined]
    ] as const) {
      assert.equal(clients.of(from(address)), client, address)
    }
  })

  test('is always the peer if no proxy is trusted', () => {
    for (const address of ['127.0.0.1', '::1', '10.0.0.1'])
      assert.equal(new ClientAddresses().of(from(address)), address)
  })

  const PEER = '10.1.1.1'
  const forwarded = (...values: string[]) =>
    clients.forwarded(
      PEER,
      `GET / HTTP/1.1\r\nHost: a\r\n${values.map((value) => `X-Forwarded-For: ${value}\r\n`).join('')}\r\n`
    )

  test("behind proxies is the right-most address that is not a proxy's", () => {
    assert.equal(forwarded('203.0.113.5'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5, 10.1.1.1, 192.0.2.7'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5 ,10.1.1.1'), '203.0.113.5')
    assert.equal(forwarded('6.6.6.6, 203.0.113.5, 10.1.1.1'), '203.0.113.5', 'what a client forges stands left of it')
    assert.equal(forwarded('10.9.9.9, 203.0.113.5'), '203.0.113.5')
    assert.equal(forwarded('6.6.6.6', '203.0.113.5', 'fd00::1'), '203.0.113.5', 'lines count as one list')
    assert.equal(forwarded('::ffff:203.0.113.5, ::ffff:10.1.1.1'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5:4711'), '203.0.113.5')
    assert.equal(forwarded('10.3.3.3, 10.1.1.1'), '10.3.3.3', 'one inside is the first of them')
    assert.equal(forwarded('6.6.6.6, unknown, 10.2.2.2'), '10.2.2.2', 'a hop without an address ends the way')
  })

  test('is the peer if the request head has no such header or is incomplete', () => {
    assert.equal(forwarded(), PEER)
    assert.equal(forwarded(' , '), PEER)
    assert.equal(clients.forwarded(PEER, 'GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.5\r\n'), PEER)
    assert.equal(clients.forwarded(PEER, ''), PEER)
    assert.equal(
      clients.forwarded(PEER, 'POST / HTTP/1.1\r\nHost: a\r\n\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n'),
      PEER,
      'a body is no head'
    )
  })

  test('is the proxy if the header has no valid address: text of a client never becomes an address', () => {
    for (const hop of ['%', ':::', '[', '[]:1', '999.1.1.1', '\0', 'x'.repeat(9999), '\u{1f600}', 'x]'.repeat(9999)]) {
      assert.equal(forwarded(`203.0.113.5, ${hop}`), PEER, hop.slice(0, 20))
    }
    assert.equal(forwarded('203.0.113.5, 1.2.3.4:99999'), '1.2.3.4')
    assert.equal(forwarded('203.0.113.5, fe80::1%eth0'), 'fe80::1')
  })

  test('is read from Forwarded if the proxies set it, and is the peer if it is invalid', () => {
    const standard = new ClientAddresses({ trustProxy: ['10.0.0.0/8'], proxyHeaders: 'forwarded' })
    const read = (lines: string) =>
      standard.forwarded(PEER, `GET / HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n${lines}\r\n\r\n`)
    assert.equal(
      read('Forwarded: for=6.6.6.6\r\nFORWARDED:\tfor="203.0.113.5:4711";proto=https, for=10.3.3.3 '),
      '203.0.113.5'
    )
    assert.equal(read('Forwarded: for="[2001:DB8::1]:443"'), '2001:db8::1')
    assert.equal(read('Forwarded: for="6.6.6.6'), PEER)
    assert.equal(read('Host: a'), PEER)
  })

  test('is found with any case and spaces in the header', () => {
    assert.equal(clients.forwarded(PEER, 'GET / HTTP/1.0\r\nx-FORWARDED-for:\t203.0.113.5  \r\n\r\n'), '203.0.113.5')
    assert.equal(clients.forwarded(PEER, 'GET / HTTP/1.0\r\nX-Forwarded-For-Not: 6.6.6.6\r\n\r\n'), PEER)
  })
})
