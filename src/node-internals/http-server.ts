// Node's HTTP/1.1 server and its responses. Public API has no event between the last header that is set and the moment the
// header block is written, does not say which connections are between two requests, and closes half-open connections.
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Loaded at first use: an import of node:http would load undici too, see common/node-http.ts. */
const http = process.getBuiltinModule('node:http')

/** Headers as `writeHead` takes them: an object, a list of names and values in turn, or a list of pairs. */
export type GivenHeaders = OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined

/** Header lines that are written as they are, before all others. */
export interface HeaderLines {
  /** @returns lines that each end with CRLF, without those that `headers` already has */
  linesBeside(headers: GivenHeaders, statusCode: number): string
}

const LINES = Symbol('header lines')
type HookedResponse = ServerResponse & { [LINES]: HeaderLines | undefined }

/** The function that ends `writeHead`: it joins the status line and the headers, and decides about keep-alive. */
interface HeadWriter {
  _storeHeader(statusLine: string, headers: GivenHeaders): void
}
const { _storeHeader } = http.ServerResponse.prototype as unknown as HeadWriter

/**
 * Makes the response class of a server. Whether a connection is kept is decided when the header block is written, not when
 * the request came. The hook is an own property of each response: Express replaces the prototype of every response.
 * @param isLast whether a response ends its connection
 */
export function createResponseClass(isLast: (response: ServerResponse) => boolean): typeof ServerResponse {
  function storeHeader(this: HookedResponse, statusLine: string, headers: GivenHeaders): void {
    if (this.shouldKeepAlive && isLast(this)) this.shouldKeepAlive = false
    const lines = this[LINES]?.linesBeside(headers, this.statusCode) ?? ''
    _storeHeader.call(this as unknown as HeadWriter, statusLine + lines, headers)
  }
  return class Response<Request extends IncomingMessage = IncomingMessage> extends http.ServerResponse<Request> {
    [LINES]: HeaderLines | undefined = undefined
    _storeHeader = storeHeader
  }
}

/**
 * Writes these lines before the other headers of a response. Node would check the name and the value of each header again;
 * for the security headers that cost 18 % of the CPU of a hit (median of 14 interleaved rounds, quartiles 8 and 29 %).
 * @returns false when the response was not made by {@link createResponseClass}, as those of HTTP/2 and of `app.inject`
 */
export function writeLinesFirst(response: object, lines: HeaderLines): boolean {
  if (!(LINES in response)) return false
  response[LINES] = lines
  return true
}

/**
 * Returns the sockets that Node's HTTP parser finds between two requests. Only the parser knows whether half a request was
 * read. `closeIdleConnections()` destroys the idle ones, so `destroy` is replaced for the duration of the call.
 */
export function idleSockets(server: Server, sockets: Iterable<Socket>): Set<object> {
  const idle = new Set<object>()
  const all = [...sockets]
  function destroy(this: object) {
    idle.add(this)
    return this
  }
  for (const socket of all) Object.assign(socket, { destroy })
  try {
    server.closeIdleConnections()
  } finally {
    for (const socket of all) Reflect.deleteProperty(socket, 'destroy')
  }
  return idle
}

/** @returns the head that a response has written, as text; empty before. `getHeader` does not know headers given to `writeHead`. */
export const sentHead = (response: ServerResponse): string =>
  (response as ServerResponse & { _header?: string | null })._header ?? ''

/** Lets clients close their side of a connection behind a request, as `nc -N` does, and still get the response. */
export function allowHalfOpen(server: Server): void {
  Object.assign(server, { httpAllowHalfOpen: true })
}

/** Starts the header and request timeouts of a server that does not listen itself. Node starts them when it listens. */
export function startTimeouts(server: Server): void {
  server.emit('listening')
}

export function probeHttpServer(): Record<string, boolean> {
  const server = http.createServer()
  const request = { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage
  const response = new http.ServerResponse(request)
  return {
    'http.ServerResponse#_storeHeader': typeof _storeHeader === 'function',
    'http.ServerResponse#shouldKeepAlive': Object.hasOwn(response, 'shouldKeepAlive'),
    'http.ServerResponse#_header': '_header' in response,
    'http.Server#httpAllowHalfOpen': 'httpAllowHalfOpen' in server,
    "http.Server listener of 'listening'": server.listenerCount('listening') === 1,
    'http.Server#closeIdleConnections calls socket.destroy': /\.destroy\(/.test(String(server.closeIdleConnections))
  }
}
