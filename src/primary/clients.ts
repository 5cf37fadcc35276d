import { canonicalPeer, Proxies, type ProxyOptions } from '../forwarded.ts'
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

/** Header lines that may name the client. */
const FORWARDED_HEADER = /^(x-forwarded-for|forwarded):[ \t]*(.*?)[ \t]*$/gim

/** The addresses of clients: the peer's, or what a trusted proxy says. */
export class Clients {
  readonly #proxies: Proxies

  constructor(options: ProxyOptions = {}) {
    this.#proxies = new Proxies(options)
  }

  /** The client of a connection that says nothing: undefined behind a proxy. */
  of(handle: ClientHandle): string | undefined {
    const peer = peerOf(handle)
    return this.#proxies.trusts(peer) ? undefined : peer
  }

  /**
   * Calls back at once, or, when the peer is a trusted proxy, with the head of its first request; with undefined when
   * it has gone meanwhile.
   */
  find(handle: ClientHandle, done: (found: Found | undefined) => void): void {
    const peer = peerOf(handle)
    if (this.#proxies.trusts(peer)) {
      peek(handle, (peeked) => {
        if (!peeked) return done(undefined)
        const { read, release } = peeked
        done({ client: this.forwarded(peer, read.toString('latin1')), head: read.toString('base64'), release })
      })
    } else done({ client: peer })
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
