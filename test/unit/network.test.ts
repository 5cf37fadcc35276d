import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { networkOf } from '../../src/http/plugins/limits/network.ts'

describe('the network of a client', () => {
  for (const [address, network] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64']
  ] as const) {
    test(address, () => assert.equal(networkOf(address), network))
  }
})
