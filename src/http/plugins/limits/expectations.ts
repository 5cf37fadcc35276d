import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { isSecure } from '../../error-handling.ts'
import { securityHeaders } from '../security/security-headers.ts'

/** RFC 9110 10.1.1: a list of expectations, of which there is this one only. */
const CONTINUE_ONLY = /^\s*100-continue\s*(?:,\s*100-continue\s*)*$/i

/**
 * Answers `Expect` in Node's place. Node sends `100 Continue` at once, for a body that is then refused, and finds the
 * expectation within others that it does not know.
 */
export function answerExpectations(server: Server): void {
  server.on('checkExpectation', refuse)
  server.on('checkContinue', (request, response) => {
    if (!CONTINUE_ONLY.test(request.headers.expect ?? '')) return refuse(request, response)
    continueWhenRead(request, response)
    server.emit('request', request, response)
  })
}

/**
 * Sends `100 Continue` when something begins to read the body. A final answer before that says `Connection: close`: Node sees
 * to it, as the client may send the body or not.
 */
export function continueWhenRead(
  request: Pick<IncomingMessage, '_read'>,
  response: Pick<ServerResponse, 'headersSent' | 'writeContinue'>
): void {
  const read = request._read
  request._read = (size) => {
    request._read = read
    // After an answer Node reads what is left of the request, to drop it.
    if (!response.headersSent) response.writeContinue()
    read.call(request, size)
  }
}

function refuse(_request: IncomingMessage, response: ServerResponse): void {
  const message = 'Only 100-continue can be expected'
  const body = JSON.stringify({ statusCode: 417, code: 'EXPECTATION', error: 'Expectation Failed', message })
  const type = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  response
    .writeHead(417, { ...securityHeaders(isSecure(response.req.socket)).headers, ...type, connection: 'close' })
    .end(body)
}
