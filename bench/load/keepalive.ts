import autocannon, { type Client, type Options } from 'autocannon'
import type { Job } from './load.ts'
import type { Tally } from './tally.ts'

/** Keep-alive load by autocannon, one request at a time on each connection; the cookies of sessions in turn, if given. */
export async function keepAlive(job: Job, cookies: readonly string[], tally: Tally): Promise<void> {
  let answers = 0
  let errors = 0
  const run = autocannon(options(job, cookies))
  // its next request is made after this event: with more sessions than connections they take turns
  const turns = (job.sessions ?? 0) > job.connections ? cookies : []
  let next = job.connections
  run.on('response', (client, status, _bytes, ms) => {
    answers++
    if (turns.length > 0) client.setHeaders(headersOf(turns, next++))
    tally.answered(status, ms)
  })
  run.on('reqError', (error) => {
    errors++
    tally.failed(error.code ?? error.message)
  })
  const { requests } = await run
  // a connection that the server ends is opened again by autocannon without a word, its request forgotten
  const lost = requests.sent - answers - errors - job.connections
  if (lost > 0) tally.failed('ended without an answer', lost)
}

function options(job: Job, cookies: readonly string[]): Options {
  let next = 0
  return {
    url: job.row === 'session' ? `${job.url}/` : `${job.url}/hits`,
    method: job.row === 'session' ? 'GET' : 'POST',
    connections: job.connections,
    duration: job.seconds,
    timeout: 2,
    // it only looks at the end of a sample whether the time is up
    sampleInt: 100,
    setupClient(client: Client) {
      if (job.row !== 'session') return
      client.setHeaders(headersOf(cookies, next++))
    }
  }
}

function headersOf(cookies: readonly string[], nth: number): Record<string, string> {
  const cookie = cookies[nth % cookies.length]
  return { accept: 'application/json', ...(cookie === undefined ? {} : { cookie }) }
}
