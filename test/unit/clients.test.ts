import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Clients, canonical } from '../../src/primary/clients.ts'

/** A connection that comes from this address. */
const from = (address: string) => ({
  getpeername: (out: { address?: string }) => {
    out.address = address
    return 0
  },
  readStop: () => {}
})

test('an address has one spelling: IPv4 within IPv6, capitals, zeros and ports make no other client', () => {
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
    ['unknown'],
    ['']
  ]
  for (const [address, ...others] of same) {
    for (const other of [address, ...others]) assert.equal(canonical(other), address)
  }
})

describe('the client', () => {
  const clients = new Clients(['10.0.0.0/8', '192.0.2.7', 'fd00::/8'])

  test('of a connection is its peer, where that is no trusted proxy', () => {
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

  test('with nobody trusted is always the peer', () => {
    for (const address of ['127.0.0.1', '::1', '10.0.0.1']) assert.equal(new Clients().of(from(address)), address)
  })

  const forwarded = (...values: string[]) =>
    clients.forwarded(
      `GET / HTTP/1.1\r\nHost: a\r\n${values.map((value) => `X-Forwarded-For: ${value}\r\n`).join('')}\r\n`
    )

  test('behind proxies is the right-most address that is none of them', () => {
    assert.equal(forwarded('203.0.113.5'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5, 10.1.1.1, 192.0.2.7'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5 ,10.1.1.1'), '203.0.113.5')
    assert.equal(forwarded('6.6.6.6, 203.0.113.5, 10.1.1.1'), '203.0.113.5', 'what a client forges stands left of it')
    assert.equal(forwarded('10.9.9.9, 203.0.113.5'), '203.0.113.5')
    assert.equal(forwarded('6.6.6.6', '203.0.113.5', 'fd00::1'), '203.0.113.5', 'lines count as one list')
    assert.equal(forwarded('::ffff:203.0.113.5, ::ffff:10.1.1.1'), '203.0.113.5')
    assert.equal(forwarded('203.0.113.5:4711'), '203.0.113.5')
    assert.equal(forwarded('10.3.3.3, 10.1.1.1'), '10.3.3.3', 'one inside is the first of them')
    assert.equal(forwarded('6.6.6.6, unknown, 10.1.1.1'), 'unknown')
  })

  test('is not known from a head without the header, or not whole', () => {
    assert.equal(forwarded(), undefined)
    assert.equal(forwarded(' , '), undefined)
    assert.equal(clients.forwarded('GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.5\r\n'), undefined)
    assert.equal(clients.forwarded(''), undefined)
    assert.equal(
      clients.forwarded('POST / HTTP/1.1\r\nHost: a\r\n\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n'),
      undefined,
      'a body is no head'
    )
  })

  test('may be anything that a proxy lets through: it is some text, and nobody is the worse for it', () => {
    const garbage = [
      '%',
      'fe80::1%eth0',
      ':::',
      '[',
      '[]:1',
      '999.1.1.1',
      '1.2.3.4:99999',
      '\0',
      'x'.repeat(9999),
      '\u{1f600}'
    ]
    for (const hop of garbage) assert.equal(typeof forwarded(`203.0.113.5, ${hop}`), 'string', hop)
    assert.equal(forwarded('x]'.repeat(9999)), 'x]'.repeat(9999))
  })

  test('is found whatever the case and the spaces of the header', () => {
    assert.equal(clients.forwarded('GET / HTTP/1.0\r\nx-FORWARDED-for:\t203.0.113.5  \r\n\r\n'), '203.0.113.5')
    assert.equal(clients.forwarded('GET / HTTP/1.0\r\nX-Forwarded-For-Not: 6.6.6.6\r\n\r\n'), undefined)
  })
})
