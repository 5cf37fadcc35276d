import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { isSecure } from '../../final-answer.ts'
import { refusalHeaders } from '../security/security-headers.ts'

/** RFC 9110 10.1.1: a list of expectations. 100-continue is the only one that is defined. */
const CONTINUE_ONLY = /^\s*100-continue\s*(?:,\s*100-continue\s*)*$/i

/**
 * Handles the `Expect` header instead of Node. Node sends `100 Continue` at once, even for a body that is then refused, and
 * accepts lists that also contain unknown expectations.
 */
export function handleExpectations(server: Server): void {
  server.on('checkExpectation', refuseExpectation)
  server.on('checkContinue', (request, response) => {
    if (!CONTINUE_ONLY.test(request.headers.expect ?? '')) return refuseExpectation(request, response)
    continueWhenRead(request, response)
    server.emit('request', request, response)
  })
}

/**
 * Sends `100 Continue` when the body is first read. To a final answer before that, Node adds `Connection: close`, because the
 * client may or may not send the body.
 */
export function continueWhenRead(
  request: Pick<IncomingMessage, '_read'>,
  response: Pick<ServerResponse, 'headersSent' | 'writeContinue'>
): void {
  const read = request._read
  request._read = (size) => {
    request._read = read
    // After the answer Node reads the rest of the request and discards it.
    if (!response.headersSent) response.writeContinue()
    read.call(request, size)
  }
}

function refuseExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const message = 'The only supported expectation is 100-continue'
  const body = JSON.stringify({ statusCode: 417, code: 'EXPECTATION', error: 'Expectation Failed', message })
  const type = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  response.writeHead(417, { ...refusalHeaders(isSecure(response.req.socket)), ...type, connection: 'close' }).end(body)
}
