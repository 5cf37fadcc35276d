import type { Socket } from 'node:net'
import { createServer, type SecureVersion, type TLSSocket } from 'node:tls'

export interface TlsOptions {
  /** Certificate chain and private key, in PEM. */
  cert: string
  key: string
  minVersion: SecureVersion
  /** Cipher suites of TLS 1.2, as OpenSSL lists them. */
  ciphers: string
  /** Who has begun a session with one worker goes on with it at another that has the same 48 bytes. */
  ticketKeys: Buffer
  /** A handshake may take so long, in ms. */
  handshakeMs: number
}

/** What both sides know before the first request: how they speak. */
const PROTOCOLS = ['h2', 'http/1.1']
/** Node takes a list without suites of TLS 1.3 for the wish to do without that version. */
const TLS_1_3 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

/**
 * TLS over connections that are accepted already. One whose handshake fails, or takes too long, is closed.
 * @param onSecure is given what to speak over, and the TCP socket below
 * @returns what begins the handshake of a connection, and what replaces the keys of session tickets
 */
export function createTls(
  options: TlsOptions,
  onSecure: (socket: TLSSocket, raw: Socket) => void
): { begin: (raw: Socket) => void; setTicketKeys: (keys: Buffer) => void } {
  const { cert, key, minVersion, ciphers, ticketKeys, handshakeMs } = options
  const server = createServer({
    cert,
    key,
    ticketKeys,
    minVersion,
    ciphers: `${TLS_1_3}:${ciphers}`,
    handshakeTimeout: handshakeMs,
    ALPNProtocols: PROTOCOLS,
    // By default it is made of the command line, which a release may change.
    sessionIdContext: 'muster'
  })
  server.on('secureConnection', (socket) => onSecure(socket, (socket as TLSSocket & { _parent: Socket })._parent))
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  const begin = (raw: Socket) => {
    // What happens to it is told by the socket above; where there is none any more, nobody is to be told.
    raw.on('error', () => {})
    server.emit('connection', raw)
  }
  return { begin, setTicketKeys: (keys) => server.setTicketKeys(keys) }
}
