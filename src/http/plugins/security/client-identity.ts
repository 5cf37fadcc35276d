import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { canonicalPeer, type Forwarded, Proxies, type ProxyOptions } from '../../../net/forwarded-headers.ts'

const FORWARDED = Symbol('forwarded')
type KnownRequest = IncomingMessage & { [FORWARDED]?: Forwarded }

/**
 * Makes `request.ip`, `ips`, `host` and `protocol` what the peer or a trusted proxy says. Fastify's own `trustProxy` takes
 * one address with two ports for two clients, and believes any `X-Forwarded-Host`.
 * @returns what trusted proxies say of a request; undefined where no proxy is trusted
 */
export function identifyClients(
  app: FastifyInstance,
  options: ProxyOptions
): ((raw: IncomingMessage) => Forwarded) | undefined {
  const peerOf = (raw: IncomingMessage) => canonicalPeer(raw.socket.remoteAddress ?? '')
  if (!options.trustProxy) {
    app.decorateRequest('ip', {
      getter(this: FastifyRequest) {
        return peerOf(this.raw)
      }
    })
    return undefined
  }
  const proxies = new Proxies(options)
  const read = (raw: KnownRequest) => (raw[FORWARDED] ??= proxies.read(peerOf(raw), raw.headers))
  app.decorateRequest('ip', {
    getter(this: FastifyRequest) {
      return read(this.raw).addresses.at(-1)!
    }
  })
  app.decorateRequest('ips', {
    getter(this: FastifyRequest) {
      return [...read(this.raw).addresses]
    }
  })
  app.decorateRequest('protocol', {
    getter(this: FastifyRequest) {
      const { encrypted } = this.raw.socket as Partial<TLSSocket>
      return read(this.raw).protocol ?? (encrypted ? 'https' : 'http')
    }
  })
  app.decorateRequest('host', {
    getter(this: FastifyRequest) {
      const { host, ':authority': authority = '' } = this.raw.headers
      return read(this.raw).host ?? host ?? String(authority)
    }
  })
  return read
}
