import { isIP, SocketAddress } from 'node:net'
import { inRanges } from './address-ranges.ts'

/** Which proxies are trusted, and which of their headers count. */
export interface ProxyOptions {
  /** Addresses and CIDR ranges of trusted proxies. */
  trustProxy?: readonly string[] | undefined
  /** The headers that they set: `X-Forwarded-*` or `Forwarded` (RFC 7239). The other ones come from clients and are ignored. */
  proxyHeaders?: 'x-forwarded' | 'forwarded'
  /** Whether the host that they name replaces `Host`. */
  forwardedHost?: 'ignore' | 'trust'
}

/** Headers by lower-case name. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What trusted proxies say about a request. */
export interface Forwarded {
  /** Addresses from the peer to the client. All but the last are trusted proxies; the last is the client's. */
  readonly addresses: readonly string[]
  readonly protocol?: 'http' | 'https' | undefined
  /** As in the header; to be checked like `Host`. */
  readonly host?: string | undefined
  /** The header cannot be parsed. */
  readonly malformed?: true
}

const CACHED_PEERS = 10_000
/** `token "=" ( token / quoted-string )` of RFC 7239, after empty elements and before a separator. */
const PARAMETER = /[\s,]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))\s*([;,]|$)\s*/y

/** Reads the headers of proxies: one rule for limits, logs, `request.ip` and sticky scheduling. */
export class Proxies {
  readonly #inRanges: (address: string) => boolean
  readonly #trusted = new Map<string, boolean>()
  readonly #header: 'x-forwarded' | 'forwarded'
  readonly #trustsHost: boolean

  constructor({ trustProxy = [], proxyHeaders = 'x-forwarded', forwardedHost = 'ignore' }: ProxyOptions = {}) {
    this.#inRanges = inRanges(trustProxy)
    this.#header = proxyHeaders
    this.#trustsHost = forwardedHost === 'trust'
  }

  /** @param address in canonical form @returns whether headers from this address are trusted */
  trusts(address: string): boolean {
    const known = this.#trusted.get(address)
    if (known !== undefined) return known
    if (this.#trusted.size >= CACHED_PEERS) this.#trusted.clear()
    const trusted = this.#inRanges(address)
    this.#trusted.set(address, trusted)
    return trusted
  }

  /** @param peer address of the other end of the connection, in canonical form */
  read(peer: string, headers: Headers): Forwarded {
    if (!this.trusts(peer)) return { addresses: [peer] }
    const fields = this.#header === 'forwarded' ? readForwarded(headers) : readXForwarded(headers)
    if (!fields) return { addresses: [peer], malformed: true }
    const protocol = fields.protocol?.toLowerCase()
    return {
      addresses: this.#addresses(peer, fields.hops),
      protocol: protocol === 'http' || protocol === 'https' ? protocol : undefined,
      host: this.#trustsHost ? fields.host : undefined
    }
  }

  /**
   * Follows the hops from the peer towards the client while each address is a trusted proxy's. Hops further left may be
   * forged. A hop without an address, such as `unknown`, ends the list too.
   */
  #addresses(peer: string, hops: readonly string[]): string[] {
    const addresses = [peer]
    for (let i = hops.length - 1; i >= 0 && this.trusts(addresses.at(-1)!); i--) {
      const address = canonicalAddress(hops[i]!)
      if (address === undefined) break
      addresses.push(address)
    }
    return addresses
  }
}

/**
 * @param text an IP address, also with a port, brackets or a zone, or an IPv4 address mapped to IPv6
 * @returns its canonical form; undefined when it is no IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const bare = /^\[(.*)\](?::[\w.-]+)?$/.exec(text)?.[1] ?? /^([\d.]+):[\w.-]+$/.exec(text)?.[1] ?? text
  const version = isIP(bare)
  if (version !== 6) return version === 4 ? bare : undefined
  // A zone has a meaning on one machine only, and SocketAddress refuses it.
  return unmapped(new SocketAddress({ address: bare.split('%', 1)[0]!, family: 'ipv6' }).address)
}

/**
 * @param address as the kernel spells it: canonical, except for the zone of a link-local address or a mapped IPv4 address
 * @returns its canonical form
 */
export const canonicalPeer = (address: string): string =>
  address.includes(':') ? unmapped(address.split('%', 1)[0]!) : address

const unmapped = (address: string) =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address

/** Contents of the header that counts. */
interface ForwardedFields {
  /** As in the header, the client's first. */
  hops: string[]
  protocol: string | undefined
  host: string | undefined
}

const listOf = (value: string | string[] | undefined): string[] =>
  value === undefined
    ? []
    : String(value)
        .split(',')
        .map((item) => item.trim())
        .filter(Boolean)

/** The last value of a list comes from the nearest proxy. */
const readXForwarded = (headers: Headers): ForwardedFields => ({
  hops: listOf(headers['x-forwarded-for']),
  protocol: listOf(headers['x-forwarded-proto']).at(-1),
  host: listOf(headers['x-forwarded-host']).at(-1)
})

/** @returns undefined when the header violates RFC 7239: an open quote of a client would hide what the proxy appends */
function readForwarded({ forwarded }: Headers): ForwardedFields | undefined {
  const text = forwarded === undefined ? '' : String(forwarded)
  const elements = [new Map<string, string>()]
  let at = 0
  while (at < text.length) {
    PARAMETER.lastIndex = at
    const [whole, name = '', quoted, token = '', separator] = PARAMETER.exec(text) ?? []
    const element = elements.at(-1)!
    const key = name.toLowerCase()
    if (whole === undefined || element.has(key)) return undefined
    element.set(key, quoted?.replace(/\\(.)/g, '$1') ?? token)
    if (separator === ',') elements.push(new Map())
    at += whole.length
  }
  const filled = elements.filter(({ size }) => size > 0)
  const last = filled.at(-1)
  return {
    hops: filled.map((element) => element.get('for') ?? ''),
    protocol: last?.get('proto'),
    host: last?.get('host')
  }
}
