import { isIP } from 'node:net'
import type { Peer } from '../ipc/messages.ts'
import { canonicalAddress } from './forwarded-headers.ts'

/** What a proxy says in front of a connection's first byte. */
export interface ProxyHeader {
  /** Of the header, in bytes. */
  length: number
  /** Undefined where the proxy speaks for itself (LOCAL, UNKNOWN): the peer is who the kernel says. */
  client: Peer | undefined
}

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V2_FIXED = 16
const V1_PREFIX = Buffer.from('PROXY ')
/** The longest header of version 1, by the specification. */
const V1_MAX = 107
/** The longest header of version 2 that is read: 64 KiB may be said, but certificates in it are no use here. */
const V2_MAX = 4096
const V2_FAMILIES: Record<number, 4 | 16> = { 1: 4, 2: 16 }
const V1_LINE = /^PROXY (TCP[46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/

/**
 * Reads a header of the PROXY protocol, version 1 or 2: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 * @param data what has arrived so far
 * @returns undefined while the header is not whole
 * @throws Error when it is no header
 */
export function parseProxyHeader(data: Buffer): ProxyHeader | undefined {
  if (startsLike(data, V2_SIGNATURE)) return parseV2(data)
  if (startsLike(data, V1_PREFIX)) return parseV1(data)
  throw new Error('there is no PROXY header')
}

/** Whether the data, as far as it has come, begins with the prefix. */
function startsLike(data: Buffer, prefix: Buffer): boolean {
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
  // LOCAL, or a family that has no address of the internet.
  if (command === 0x20 || bytes === undefined) return { length, client: undefined }
  if (rest < 2 * bytes + 4) throw new Error('the PROXY header names no client')
  const source = data.subarray(V2_FIXED, V2_FIXED + bytes)
  return { length, client: { address: textOf(source), port: data.readUInt16BE(V2_FIXED + 2 * bytes) } }
}

function textOf(address: Buffer): string {
  if (address.length === 4) return address.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16))
  return canonicalAddress(groups.join(':'))!
}
