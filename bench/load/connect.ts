import { connect, type TcpNetConnectOpts } from 'node:net'
import { type Job, nthAddress } from './load.ts'
import type { Tally } from './tally.ts'

const timeoutMs = 2000

/**
 * A new connection for every request, `connections` at a time. By hand, because autocannon with `reconnectRate: 1`
 * counts none of the answers after which it reconnects, and node's own http client would cost more than the server.
 */
export async function connectionEach(job: Job, tally: Tally): Promise<void> {
  const { hostname, port, host } = new URL(job.url)
  const request = `POST /hits HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`
  const end = performance.now() + job.seconds * 1000
  const client = async (_: unknown, nth: number) => {
    const target = { host: hostname, port: Number(port), ...(job.spread && { localAddress: nthAddress(nth) }) }
    while (performance.now() < end) await exchange(target, request, tally)
  }
  await Promise.all(Array.from({ length: job.connections }, client))
}

function exchange(target: TcpNetConnectOpts, request: string, tally: Tally): Promise<void> {
  const begun = performance.now()
  return new Promise((resolve) => {
    let text = ''
    let outcome: string | undefined
    const socket = connect({ ...target, noDelay: true })
    socket.setEncoding('latin1').setTimeout(timeoutMs)
    socket.on('connect', () => socket.write(request))
    socket.on('data', (chunk) => {
      text += chunk
      const status = outcome === undefined ? completeStatus(text) : undefined
      if (status === undefined) return
      outcome = 'answered'
      tally.answered(status, performance.now() - begun)
    })
    socket.on('timeout', () => {
      outcome ??= fail(tally, 'time-out')
      socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      outcome ??= fail(tally, error.code ?? error.message)
    })
    socket.on('close', () => {
      outcome ??= fail(tally, 'ended without an answer')
      resolve()
    })
  })
}

function fail(tally: Tally, kind: string): string {
  tally.failed(kind)
  return kind
}

/** The status once the whole answer is there, measured by its content-length. */
export function completeStatus(text: string): number | undefined {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0)
  return text.length >= head + 4 + length ? Number(text.slice(9, 12)) : undefined
}
