import { isIPv6 } from 'node:net'

/** A header of version 1 that names the client. */
export const proxyV1 = (address: string, port: number): Buffer =>
  Buffer.from(`PROXY TCP${isIPv6(address) ? 6 : 4} ${address} ${isIPv6(address) ? '::1' : '127.0.0.1'} ${port} 80\r\n`)

/** A header of version 2. @param address undefined: the proxy speaks for itself @param more TLVs */
export function proxyV2(address: string | undefined, port = 0, more: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(16)
  head.write('\r\n\r\n\0\r\nQUIT\n', 'latin1')
  if (address === undefined) {
    head[12] = 0x20
    return head
  }
  const source = isIPv6(address) ? bytesOfIPv6(address) : Buffer.from(address.split('.').map(Number))
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(port, 0)
  const body = Buffer.concat([source, Buffer.alloc(source.length), ports, more])
  head[12] = 0x21
  head[13] = source.length === 4 ? 0x11 : 0x21
  head.writeUInt16BE(body.length, 14)
  return Buffer.concat([head, body])
}

/** Of an address with one "::" in it. */
function bytesOfIPv6(address: string): Buffer {
  const [before = [], after = []] = address.split('::').map((part) => part.split(':').filter(Boolean))
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
