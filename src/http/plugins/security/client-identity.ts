import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { canonicalPeer, type Forwarded, Proxies, type ProxyOptions } from '../../../net/forwarded-headers.ts'

const FORWARDED = Symbol('forwarded')
type MarkedRequest = IncomingMessage & { [FORWARDED]?: Forwarded }

/** The connection of a request. undici removes `socket` from a request whose body it sends to another server. */
const SOCKET = Symbol('socket')
type ConnectedRequest = FastifyRequest & { [SOCKET]: Socket | null }
const socketOf = (request: FastifyRequest) => request.raw.socket ?? (request as ConnectedRequest)[SOCKET]

/**
 * Makes `request.ip`, `ips`, `host` and `protocol` come from the peer or a trusted proxy. Fastify's own `trustProxy` takes one
 * address with two ports for two clients, and trusts any `X-Forwarded-Host`.
 * @returns a function that returns what trusted proxies say about a request; undefined when no proxy is trusted
 */
export function identifyClients(
  app: FastifyInstance,
  options: ProxyOptions
): ((raw: IncomingMessage) => Forwarded) | undefined {
  app.decorateRequest(SOCKET, null)
  app.addHook('onRequest', (request, _reply, done) => {
    ;(request as ConnectedRequest)[SOCKET] = request.raw.socket
    done()
  })
  const peerOf = (socket: Socket | null) => canonicalPeer(socket?.remoteAddress ?? '')
  if (!options.trustProxy) {
    app.decorateRequest('ip', {
      getter(this: FastifyRequest) {
        return peerOf(socketOf(this))
      }
    })
    return undefined
  }
  const proxies = new Proxies(options)
  const forwardedOf = (raw: MarkedRequest) => {
    raw[FORWARDED] ??= proxies.read(peerOf(raw.socket), raw.headers)
    return raw[FORWARDED]
  }
  decorateForwarded(app, forwardedOf)
  return forwardedOf
}

function decorateForwarded(app: FastifyInstance, forwardedOf: (raw: IncomingMessage) => Forwarded): void {
  app.decorateRequest('ip', {
    getter(this: FastifyRequest) {
      return forwardedOf(this.raw).addresses.at(-1)!
    }
  })
  app.decorateRequest('ips', {
    getter(this: FastifyRequest) {
      return [...forwardedOf(this.raw).addresses]
    }
  })
  app.decorateRequest('protocol', {
    getter(this: FastifyRequest) {
      const { encrypted } = socketOf(this) as Partial<TLSSocket>
      return forwardedOf(this.raw).protocol ?? (encrypted ? 'https' : 'http')
    }
  })
  app.decorateRequest('host', {
    getter(this: FastifyRequest) {
      const { host, ':authority': authority = '' } = this.raw.headers
      return forwardedOf(this.raw).host ?? host ?? String(authority)
    }
  })
}
