import type { Duplex } from 'node:stream'
import { http } from '../common/node-http.ts'
import { refusalHeaders } from './plugins/security/security-headers.ts'

const LINGER_MS = 500

/** Whether the socket uses TLS. */
export const isSecure = (socket: Duplex): boolean => 'encrypted' in socket

/**
 * Writes an answer directly to a socket that has no request to answer, and closes the connection. The body has Fastify's JSON
 * shape.
 */
export function sendFinalAnswer(
  socket: Duplex,
  statusCode: number,
  code: string,
  message: string,
  extraHeaders: Record<string, string> = {}
): void {
  const body = JSON.stringify({ statusCode, code, error: http.STATUS_CODES[statusCode], message })
  const headers = {
    ...refusalHeaders(isSecure(socket)),
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...extraHeaders,
    connection: 'close'
  }
  // Node has removed its error listener from a socket that it passes on, and an unhandled error would end the process.
  socket.on('error', () => socket.destroy())
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${statusCode} ${http.STATUS_CODES[statusCode]}\r\n${lines.join('')}\r\n${body}`)
  lingerAfterEnd(socket)
}

/** Keeps reading for a moment: unread bytes would reset the connection before the client has read the answer. */
function lingerAfterEnd(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer)).once('end', () => socket.destroy())
}
