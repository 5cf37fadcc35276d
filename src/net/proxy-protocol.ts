import { isIP } from 'node:net'
import type { Peer } from '../ipc/messages.ts'
import { canonicalAddress } from './forwarded-headers.ts'

/** The header that a proxy sends before the first byte of a connection. */
export interface ProxyHeader {
  /** Length of the header, in bytes. */
  length: number
  /** Undefined when the proxy speaks for itself (LOCAL, UNKNOWN); the client is then the peer of the connection. */
  client: Peer | undefined
}

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Bytes of a version 2 header before the addresses. */
const V2_FIXED = 16
const V1_PREFIX = Buffer.from('PROXY ')
/** The longest header of version 1, by the specification. */
const V1_MAX = 107
/** The longest header of version 2 that is read. The protocol allows 64 KiB, for certificates, which are not used here. */
const V2_MAX = 4096
/** Bytes of an address by address family. */
const V2_FAMILIES: Record<number, 4 | 16> = { 1: 4, 2: 16 }
const V1_LINE = /^PROXY (TCP[46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/

/**
 * Parses a header of the PROXY protocol, version 1 or 2: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 * @param data bytes that have arrived so far
 * @returns undefined while the header is incomplete
 * @throws Error when the data is not a header
 */
export function parseProxyHeader(data: Buffer): ProxyHeader | undefined {
  if (matchesPrefix(data, V2_SIGNATURE)) return parseV2(data)
  if (matchesPrefix(data, V1_PREFIX)) return parseV1(data)
  throw new Error('there is no PROXY header')
}

/** @returns whether the bytes that have arrived agree with the prefix, which may be incomplete */
function matchesPrefix(data: Buffer, prefix: Buffer): boolean {
  const length = Math.min(data.length, prefix.length)
  return data.subarray(0, length).equals(prefix.subarray(0, length))
}

function parseV1(data: Buffer): ProxyHeader | undefined {
  const text = data.toString('latin1', 0, V1_MAX)
  const end = text.indexOf('\r\n')
  if (end < 0) {
    if (text.length >= V1_MAX) throw new Error('the PROXY header has no end')
    return undefined
  }
  const line = text.slice(0, end)
  const length = end + 2
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { length, client: undefined }
  const [, family, address = '', , port = ''] = V1_LINE.exec(line) ?? []
  if (isIP(address) !== (family === 'TCP6' ? 6 : 4) || Number(port) > 65535) {
    throw new Error('the PROXY header names no client')
  }
  return { length, client: { address: canonicalAddress(address)!, port: Number(port) } }
}

function parseV2(data: Buffer): ProxyHeader | undefined {
  if (data.length < V2_FIXED) return undefined
  const command = data[12]!
  if (command !== 0x20 && command !== 0x21) throw new Error('the PROXY header has an unknown version or command')
  const rest = data.readUInt16BE(14)
  const length = V2_FIXED + rest
  if (length > V2_MAX) throw new Error(`the PROXY header is longer than ${V2_MAX} bytes`)
  if (data.length < length) return undefined
  const bytes = V2_FAMILIES[data[13]! >> 4]
  // LOCAL, or an address family other than IPv4 and IPv6.
  if (command === 0x20 || bytes === undefined) return { length, client: undefined }
  if (rest < 2 * bytes + 4) throw new Error('the PROXY header names no client')
  const source = data.subarray(V2_FIXED, V2_FIXED + bytes)
  return { length, client: { address: formatAddress(source), port: data.readUInt16BE(V2_FIXED + 2 * bytes) } }
}

function formatAddress(address: Buffer): string {
  if (address.length === 4) return address.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16))
  return canonicalAddress(groups.join(':'))!
}
