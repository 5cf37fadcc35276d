import { inRanges } from '../../net/address-ranges.ts'
import { canonicalPeer, Proxies, type ProxyOptions } from '../../net/forwarded-headers.ts'
import { parseProxyHeader } from '../../net/proxy-protocol.ts'
import { peekRequestHead, type ReadableHandle } from './request-head.ts'

/** Node's TCP handle, the part that tells who is at the other end. */
export interface ClientHandle extends ReadableHandle {
  /** Undefined for a Unix socket. */
  getpeername?(out: { address?: string }): number
}

/** Who is behind a fresh connection. */
export interface IdentifiedClient {
  client: string
  /** What the client has sent and was read to find it out, in base64; it is gone from the connection. */
  head?: string
  /** Closes this process' copy, in place of the handle's own `close`. */
  release?: () => void
}

/** Header lines that may name the client. */
const FORWARDED_HEADER = /^(x-forwarded-for|forwarded):[ \t]*(.*?)[ \t]*$/gim

/** The addresses of clients: the peer's, or what a trusted proxy says. */
export class ClientAddresses {
  readonly #proxies: Proxies
  readonly #sendsProxyHeader: (address: string) => boolean

  /** @param options.proxyProtocol addresses and CIDR ranges of proxies whose connections begin with a PROXY header */
  constructor(options: ProxyOptions & { proxyProtocol?: readonly string[] | undefined } = {}) {
    this.#proxies = new Proxies(options)
    this.#sendsProxyHeader = inRanges(options.proxyProtocol ?? [])
  }

  /**
   * The client of a connection that says nothing: undefined behind a proxy.
   * @param named the client that a PROXY header named
   */
  of(handle: ClientHandle, named?: string): string | undefined {
    const peer = named ?? peerOf(handle)
    return this.#proxies.trusts(peer) ? undefined : peer
  }

  /**
   * Calls back at once, or, when the peer is a trusted proxy, with the head of its first request; with undefined when
   * it has gone meanwhile.
   */
  find(handle: ClientHandle, done: (found: IdentifiedClient | undefined) => void): void {
    const peer = peerOf(handle)
    const proxied = this.#sendsProxyHeader(peer)
    if (!proxied && !this.#proxies.trusts(peer)) {
      done({ client: peer })
      return
    }
    const isEnough = (read: Buffer) => this.#client(read, peer, proxied).isKnown
    peekRequestHead(handle, isEnough, (peeked) => {
      if (!peeked) return done(undefined)
      const { read, release } = peeked
      done({ client: this.#client(read, peer, proxied).client, head: read.toString('base64'), release })
    })
  }

  /** Who the client is by what was read, and whether more would tell more. */
  #client(read: Buffer, peer: string, proxied: boolean): { client: string; isKnown: boolean } {
    let client = peer
    let http = read
    if (proxied) {
      try {
        const header = parseProxyHeader(read)
        if (!header) return { client, isKnown: false }
        client = header.client?.address ?? peer
        http = read.subarray(header.length)
      } catch {
        return { client, isKnown: true } // The worker closes it.
      }
    }
    if (!this.#proxies.trusts(client)) return { client, isKnown: true }
    return { client: this.forwarded(client, http.toString('latin1')), isKnown: http.includes('\r\n\r\n') }
  }

  /**
   * The address that a worker will have as `request.ip`.
   * @param peer the address of the connection
   * @param text the head of the first request; where it is not whole, the peer counts
   */
  forwarded(peer: string, text: string): string {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return peer
    const headers: Record<string, string> = {}
    for (const [, name = '', value = ''] of text.slice(0, end).matchAll(FORWARDED_HEADER)) {
      const key = name.toLowerCase()
      headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`
    }
    return this.#proxies.read(peer, headers).addresses.at(-1)!
  }
}

function peerOf(handle: ClientHandle): string {
  // Clients of a Unix socket are processes of this machine, and count as coming from loopback.
  if (!handle.getpeername) return '127.0.0.1'
  const peer: { address?: string } = {}
  handle.getpeername(peer)
  return canonicalPeer(peer.address ?? '')
}
