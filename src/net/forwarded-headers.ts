import { isIP, SocketAddress } from 'node:net'
import { inRanges } from './address-ranges.ts'

/** Which proxies are believed, and what. */
export interface ProxyOptions {
  /** Addresses and CIDR ranges of trusted proxies. */
  trustProxy?: readonly string[] | undefined
  /** The headers that they set: `X-Forwarded-*`, or RFC 7239's `Forwarded`. The other ones come from clients. */
  proxyHeaders?: 'x-forwarded' | 'forwarded'
  /** Whether their host counts in place of `Host`. */
  forwardedHost?: 'ignore' | 'trust'
}

/** Headers by lower-case name; a header that came in several lines is one list. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What trusted proxies say of a request. */
export interface Forwarded {
  /** Addresses from the peer to the client, the client's last. The first ones are trusted proxies. */
  readonly addresses: readonly string[]
  readonly protocol?: 'http' | 'https' | undefined
  /** As the header says it, to be checked like `Host`. */
  readonly host?: string | undefined
  /** The header cannot be read. */
  readonly malformed?: true
}

const CACHED_PEERS = 10_000
/** token "=" ( token / quoted-string ) of RFC 7239, between empty elements and the separator behind it. */
const PARAMETER = /[\s,]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))\s*([;,]|$)\s*/y

/** Reads what proxies say of clients: one rule for limits, logs, `request.ip` and the choice of a worker. */
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

  /** Whether what this address says of clients counts. @param address a canonical one */
  trusts(address: string): boolean {
    const known = this.#trusted.get(address)
    if (known !== undefined) return known
    if (this.#trusted.size >= CACHED_PEERS) this.#trusted.clear()
    const trusted = this.#inRanges(address)
    this.#trusted.set(address, trusted)
    return trusted
  }

  /** @param peer the canonical address at the other end of the connection */
  read(peer: string, headers: Headers): Forwarded {
    if (!this.trusts(peer)) return { addresses: [peer] }
    const said = this.#header === 'forwarded' ? readForwarded(headers) : readXForwarded(headers)
    if (!said) return { addresses: [peer], malformed: true }
    const protocol = said.protocol?.toLowerCase()
    return {
      addresses: this.#addresses(peer, said.hops),
      protocol: protocol === 'http' || protocol === 'https' ? protocol : undefined,
      host: this.#trustsHost ? said.host : undefined
    }
  }

  /**
   * Follows the hops from the peer as long as each address is a trusted proxy's: what is left of the first one that is not
   * may be forged. A hop without an address (`unknown`, a name that hides it) ends the way too.
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
 * @param text an IP address, with or without a port, brackets, a zone, or IPv6 around an IPv4 one
 * @returns the one spelling of it; undefined for what is no IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const bare = /^\[(.*)\](?::[\w.-]+)?$/.exec(text)?.[1] ?? /^([\d.]+):[\w.-]+$/.exec(text)?.[1] ?? text
  const version = isIP(bare)
  if (version !== 6) return version === 4 ? bare : undefined
  // A zone means something on one machine only, and SocketAddress refuses it.
  return unmapped(new SocketAddress({ address: bare.split('%', 1)[0]!, family: 'ipv6' }).address)
}

/** @param address as the kernel spells it: in one way, but with the zone of a link-local address, or around an IPv4 one */
export const canonicalPeer = (address: string): string =>
  address.includes(':') ? unmapped(address.split('%', 1)[0]!) : address

const unmapped = (address: string) =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address

interface Said {
  hops: string[]
  protocol: string | undefined
  host: string | undefined
}

const listOf = (value: string | string[] | undefined): string[] =>
  value === undefined
    ? []
    : String(value)
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean)

/** The last one of a list is what the nearest proxy says. */
const readXForwarded = (headers: Headers): Said => ({
  hops: listOf(headers['x-forwarded-for']),
  protocol: listOf(headers['x-forwarded-proto']).at(-1),
  host: listOf(headers['x-forwarded-host']).at(-1)
})

/** @returns undefined for what is not RFC 7239: a quote that a client left open would hide what the proxy appends */
function readForwarded({ forwarded }: Headers): Said | undefined {
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
  const said = elements.filter(({ size }) => size > 0)
  const last = said.at(-1)
  return {
    hops: said.map((element) => element.get('for') ?? ''),
    protocol: last?.get('proto'),
    host: last?.get('host')
  }
}
