import type { Socket } from 'node:net'
import { MAX_TARGET } from './plugins/limits/request-rules.ts'

/** What Node's HTTP parser reports: llhttp's code, the bytes of this turn, and how many of them it had read. */
export type ParserError = Error & { code?: string; rawPacket?: unknown; bytesParsed?: number }

/** The refusal of something that never became a request. */
export interface ParserRefusal {
  statusCode: number
  code: string
  message: string
}

/** By the parser's codes. */
const REFUSALS: Record<string, [statusCode: number, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions are too large'],
  HPE_INVALID_VERSION: [505, 'This is served as HTTP/1.1 only'],
  // The preface of HTTP/2 without TLS.
  HPE_PAUSED_H2_UPGRADE: [505, 'Without TLS this is served as HTTP/1.1 only']
}
const NO_REQUEST: [number, string] = [400, 'This is no HTTP request']

/** A request line of which only the method is unknown: tokens of RFC 9110 need not be in capitals. */
const REQUEST_LINE = /^[\w!#$%&'*+.^`|~-]+ \S+ HTTP\/1\.[01]\r\n/
/** A version that is fine, behind which the parser found no CRLF. */
const BARE_LINE_FEED = /HTTP\/1\.[01]\n$/

export function refusalOfParserError(error: ParserError, socket: Socket): ParserRefusal {
  const [statusCode, message] = statusOf(error, socket)
  return { statusCode, code: statusCode === 501 ? 'NOT_IMPLEMENTED' : 'CLIENT_ERROR', message }
}

function statusOf(error: ParserError, socket: Socket): [number, string] {
  const { code = '', rawPacket, bytesParsed = 0 } = error
  if (Buffer.isBuffer(rawPacket)) {
    if (code === 'HPE_HEADER_OVERFLOW' && isTargetTooLong(rawPacket, socket)) return [414, 'The address is too long']
    if (code === 'HPE_INVALID_VERSION' && BARE_LINE_FEED.test(rawPacket.toString('latin1', 0, bytesParsed)))
      return NO_REQUEST
    if (code === 'HPE_INVALID_METHOD' && REQUEST_LINE.test(lineAt(rawPacket, bytesParsed))) {
      return [501, 'This is no method of this service']
    }
  }
  return REFUSALS[code] ?? NO_REQUEST
}

/** From the beginning of the line that this byte is in, to the end of the packet. */
function lineAt(packet: Buffer, index: number): string {
  const start = index === 0 ? 0 : packet.lastIndexOf('\n', index - 1) + 1
  return packet.toString('latin1', start)
}

/** The head was too large before its first line had an end. */
function isTargetTooLong(packet: Buffer, socket: Socket): boolean {
  const end = packet.indexOf('\n')
  return packet.length === socket.bytesRead && (end < 0 || end > MAX_TARGET)
}
