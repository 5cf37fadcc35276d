import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net'
import { type PeekedHandle, peek } from './peek.ts'

/** Node's TCP handle, the part that tells who is at the other end. */
export interface ClientHandle extends PeekedHandle {
  /** Undefined for a Unix socket. */
  getpeername?(out: { address?: string }): number
}

/** Who is behind a fresh connection. */
export interface Found {
  client: string
  /** What the client has sent and was read to find it out, in base64; it is gone from the connection. */
  head?: string
  /** Closes this process' copy, in place of the handle's own `close`. */
  release?: () => void
}

/** The addresses of clients: the peer's, or what a trusted proxy says. */
export class Clients {
  readonly #proxies = new BlockList()

  /** @param trusted addresses and CIDR ranges of proxies whose X-Forwarded-For counts */
  constructor(trusted: readonly string[] = []) {
    for (const range of trusted) {
      const [address = '', prefix] = range.split('/')
      const family = isIPv6(address) ? 'ipv6' : 'ipv4'
      if (prefix === undefined) this.#proxies.addAddress(address, family)
      else this.#proxies.addSubnet(address, Number(prefix), family)
    }
  }

  /** The client of a connection that says nothing: undefined behind a proxy. */
  of(handle: ClientHandle): string | undefined {
    const peer = peerOf(handle)
    return this.#trusts(peer) ? undefined : peer
  }

  /**
   * Calls back at once, or, when the peer is a trusted proxy, with the head of its first request; with undefined when
   * it has gone meanwhile.
   */
  find(handle: ClientHandle, done: (found: Found | undefined) => void): void {
    const peer = peerOf(handle)
    if (this.#trusts(peer)) {
      peek(handle, (peeked) => {
        if (!peeked) return done(undefined)
        const { read, release } = peeked
        done({ client: this.forwarded(read.toString('latin1')) ?? peer, head: read.toString('base64'), release })
      })
    } else done({ client: peer })
  }

  /**
   * The right-most address in X-Forwarded-For that is no trusted proxy, as Fastify's `request.ip` has it. What stands
   * left of it is whatever the client has sent. Undefined without the header, or where its head is not whole.
   */
  forwarded(text: string): string | undefined {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const lines = [...text.slice(0, end).matchAll(/^x-forwarded-for:(.*)$/gim)]
    const hops = lines.flatMap(([, value = '']) => value.split(/[\s,]+/).filter(Boolean)).map(canonical)
    return hops.findLast((hop) => !this.#trusts(hop)) ?? hops[0]
  }

  #trusts(address: string): boolean {
    const version = isIP(address)
    return version !== 0 && this.#proxies.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }
}

/** One spelling for each address, whatever listens: an IPv4 one without IPv6 around it, none with a port. */
export function canonical(hop: string): string {
  const bare = /^\[(.*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop
  return isIPv6(bare) ? unmapped(new SocketAddress({ address: bare, family: 'ipv6' }).address) : bare
}

function peerOf(handle: ClientHandle): string {
  // Clients of a Unix socket are processes of this machine, and count as coming from loopback.
  if (!handle.getpeername) return '127.0.0.1'
  const peer: { address?: string } = {}
  handle.getpeername(peer)
  return unmapped(peer.address ?? '')
}

const unmapped = (address: string) =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
