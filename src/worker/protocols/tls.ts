import type { Socket } from 'node:net'
import { createServer, type SecureVersion, type TLSSocket } from 'node:tls'
import { tcpSocketBelow } from '../../node-internals/tcp-handle.ts'

export interface TlsOptions {
  /** Certificate chain and private key, in PEM. */
  cert: string
  key: string
  minVersion: SecureVersion
  /** Cipher suites of TLS 1.2, in OpenSSL's format. */
  ciphers: string
  /** 48 bytes. A client can resume its TLS session at any worker that has the same keys. */
  ticketKeys: Buffer
  /** Timeout of a handshake, in ms. */
  handshakeMs: number
}

/** What ALPN may choose, preferred first. */
const PROTOCOLS = ['h2', 'http/1.1']
/** Node disables TLS 1.3 when the list has no suite of it. */
const TLS_1_3 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

export interface Tls {
  /** Starts the handshake of a connection. A connection whose handshake fails or takes too long is closed. */
  begin(raw: Socket): void
  setTicketKeys(keys: Buffer): void
  /** Lets clients of new connections choose HTTP/1.1 only. */
  disableHttp2(): void
}

/**
 * Creates TLS for connections that are already accepted.
 * @param onSecure gets the TLS socket after the handshake, and the TCP socket below it
 */
export function createTls(options: TlsOptions, onSecure: (socket: TLSSocket, raw: Socket) => void): Tls {
  const { cert, key, minVersion, ciphers, ticketKeys, handshakeMs } = options
  let protocols = PROTOCOLS
  const server = createServer({
    cert,
    key,
    ticketKeys,
    minVersion,
    ciphers: `${TLS_1_3}:${ciphers}`,
    handshakeTimeout: handshakeMs,
    ALPNCallback: ({ protocols: offered }) => protocols.find((name) => offered.includes(name)),
    // The default is a hash of the command line, which differs between releases.
    sessionIdContext: 'muster'
  })
  server.on('secureConnection', (socket) => onSecure(socket, tcpSocketBelow(socket)))
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return {
    begin(raw) {
      // The TLS socket reports errors of the TCP socket. When there is no TLS socket any more, the error has no reader.
      raw.on('error', () => {})
      server.emit('connection', raw)
    },
    setTicketKeys: (keys) => server.setTicketKeys(keys),
    disableHttp2: () => {
      protocols = PROTOCOLS.filter((name) => name !== 'h2')
    }
  }
}
