import type { Socket } from 'node:net'
import { MAX_TARGET } from './plugins/limits/request-rules.ts'

/** An error of Node's HTTP parser: the code of llhttp, the bytes of this read, and how many of them were parsed. */
export type ParserError = Error & { code?: string; rawPacket?: unknown; bytesParsed?: number }

/** The answer to input that never became a request. */
export interface ParserRefusal {
  statusCode: number
  code: string
  message: string
}

type Status = readonly [statusCode: number, message: string]

const STATUS_BY_CODE: Readonly<Record<string, Status>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions are too large'],
  HPE_INVALID_VERSION: [505, 'The only supported version is HTTP/1.1'],
  // The preface of HTTP/2 without TLS.
  HPE_PAUSED_H2_UPGRADE: [505, 'Without TLS the only supported version is HTTP/1.1']
}
const NOT_HTTP: Status = [400, 'This is not a valid HTTP request']
const TARGET_TOO_LONG: Status = [414, 'The request target is too long']
const UNKNOWN_METHOD: Status = [501, 'The method is not supported']

/** A request line in which only the method is unknown. RFC 9110 also allows tokens in lower case. */
const REQUEST_LINE = /^[\w!#$%&'*+.^`|~-]+ \S+ HTTP\/1\.[01]\r\n/
/** A valid version that is followed by LF instead of CRLF. */
const BARE_LINE_FEED = /HTTP\/1\.[01]\n$/

export function refusalOfParserError(error: ParserError, socket: Socket): ParserRefusal {
  const [statusCode, message] = statusOf(error, socket)
  return { statusCode, code: statusCode === 501 ? 'NOT_IMPLEMENTED' : 'CLIENT_ERROR', message }
}

function statusOf(error: ParserError, socket: Socket): Status {
  const { code = '', rawPacket, bytesParsed = 0 } = error
  const fromInput = Buffer.isBuffer(rawPacket) ? statusOfInput(code, rawPacket, bytesParsed, socket) : undefined
  return fromInput ?? STATUS_BY_CODE[code] ?? NOT_HTTP
}

/** Looks at the input where the code of the parser alone is ambiguous. */
function statusOfInput(code: string, packet: Buffer, bytesParsed: number, socket: Socket): Status | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return isTargetTooLong(packet, socket) ? TARGET_TOO_LONG : undefined
    case 'HPE_INVALID_VERSION':
      return BARE_LINE_FEED.test(packet.toString('latin1', 0, bytesParsed)) ? NOT_HTTP : undefined
    case 'HPE_INVALID_METHOD':
      return REQUEST_LINE.test(fromLineStart(packet, bytesParsed)) ? UNKNOWN_METHOD : undefined
    default:
      return undefined
  }
}

/** The text from the start of the line that contains this byte to the end of the packet. */
function fromLineStart(packet: Buffer, index: number): string {
  const start = index === 0 ? 0 : packet.lastIndexOf('\n', index - 1) + 1
  return packet.toString('latin1', start)
}

/** Whether the head became too large before the end of the request line. */
function isTargetTooLong(packet: Buffer, socket: Socket): boolean {
  const end = packet.indexOf('\n')
  return packet.length === socket.bytesRead && (end < 0 || end > MAX_TARGET)
}
