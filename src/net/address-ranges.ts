import { BlockList, isIP, isIPv6 } from 'node:net'

/**
 * @param ranges addresses and CIDR ranges
 * @returns a function that tells whether an address is in one of them; false for a text that is no address
 */
export function inRanges(ranges: readonly string[]): (address: string | undefined) => boolean {
  if (ranges.length === 0) return () => false
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address = '') => {
    const version = isIP(address)
    return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }
}
