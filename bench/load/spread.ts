import { connect } from 'node:net'
import { completeStatus } from './connect.ts'
import { type Job, nthAddress } from './load.ts'
import type { Tally } from './tally.ts'

const timeoutMs = 2000

/** Keep-alive load, one request at a time on each connection, by hand: autocannon cannot choose the address it comes from. */
export async function keepAliveSpread(job: Job, tally: Tally): Promise<void> {
  const end = performance.now() + job.seconds * 1000
  await Promise.all(Array.from({ length: job.connections }, (_, nth) => client(job, nth, end, tally)))
}

function client(job: Job, nth: number, end: number, tally: Tally): Promise<void> {
  const { hostname, port, host } = new URL(job.url)
  const request = `POST /hits HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n\r\n`
  const socket = connect({ host: hostname, port: Number(port), localAddress: nthAddress(nth), noDelay: true })
  let text = ''
  let begun = 0
  let failure: string | undefined = 'ended without an answer'
  const ask = () => {
    if (performance.now() >= end) {
      failure = undefined
      return socket.destroy()
    }
    text = ''
    begun = performance.now()
    return socket.write(request)
  }
  return new Promise((resolve) => {
    socket.setEncoding('latin1').setTimeout(timeoutMs)
    socket.on('connect', ask)
    socket.on('data', (chunk) => {
      text += chunk
      const status = completeStatus(text)
      if (status === undefined) return
      tally.answered(status, performance.now() - begun)
      ask()
    })
    socket.on('timeout', () => {
      failure = 'time-out'
      socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message
    })
    socket.on('close', () => {
      if (failure !== undefined) tally.failed(failure)
      resolve()
    })
  })
}
