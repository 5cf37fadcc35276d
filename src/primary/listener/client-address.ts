import { inRanges } from '../../net/address-ranges.ts'
import { canonicalPeer, Proxies, type ProxyOptions } from '../../net/forwarded-headers.ts'
import { parseProxyHeader } from '../../net/proxy-protocol.ts'
import { peekRequestHead, type ReadableHandle } from './request-head.ts'

/** The part of Node's TCP handle that knows the address of the peer. */
export interface ClientHandle extends ReadableHandle {
  /** Undefined for a Unix socket. */
  getpeername?(out: { address?: string }): number
}

/** The client of a new connection. */
export interface IdentifiedClient {
  client: string
  /** Bytes that were read from the connection to identify the client, in base64. The worker must get them separately. */
  head?: string
  /** Closes this process' copy of the descriptor; replaces the handle's own `close`. */
  release?: () => void
}

/** Matches the header lines that may name the client. */
const FORWARDED_HEADER = /^(x-forwarded-for|forwarded):[ \t]*(.*?)[ \t]*$/gim

/** Finds the addresses of clients: the peer's address, or the one that a trusted proxy names. */
export class ClientAddresses {
  readonly #proxies: Proxies
  readonly #sendsProxyHeader: (address: string) => boolean

  /** @param options.proxyProtocol addresses and CIDR ranges of proxies whose connections begin with a PROXY header */
  constructor(options: ProxyOptions & { proxyProtocol?: readonly string[] | undefined } = {}) {
    this.#proxies = new Proxies(options)
    this.#sendsProxyHeader = inRanges(options.proxyProtocol ?? [])
  }

  /**
   * Returns the client of an idle connection.
   * @param named the client that a PROXY header named
   * @returns undefined behind a proxy, whose next request may be another client's
   */
  of(handle: ClientHandle, named?: string): string | undefined {
    const peer = named ?? peerOf(handle)
    return this.#proxies.trusts(peer) ? undefined : peer
  }

  /**
   * Identifies the client of a new connection. Calls back at once, unless the peer is a trusted proxy: then after the head of
   * its first request was read, or with undefined if it has disconnected.
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

  /** Identifies the client by the bytes that were read. `isKnown`: further bytes would not change the result. */
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
        // The worker closes a connection with an invalid header.
        return { client, isKnown: true }
      }
    }
    if (!this.#proxies.trusts(client)) return { client, isKnown: true }
    return { client: this.forwarded(client, http.toString('latin1')), isKnown: http.includes('\r\n\r\n') }
  }

  /**
   * Returns the address that a worker will see as `request.ip`.
   * @param peer the address of the connection
   * @param text the head of the first request; if it is incomplete, the peer is the client
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
  // Clients of a Unix socket are processes of this machine. They count as loopback.
  if (!handle.getpeername) return '127.0.0.1'
  const peer: { address?: string } = {}
  handle.getpeername(peer)
  return canonicalPeer(peer.address ?? '')
}
