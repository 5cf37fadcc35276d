import http from 'node:http'
import type { Job } from './load.ts'

interface Page {
  readonly cookie: string | undefined
  readonly visits: unknown
}

/** More at a time would only wait in a queue. */
const atATime = 64

/**
 * One session for each connection, or so many as the job says: the `name=value` of the cookie that GET / sets. A server that shares its
 * sessions must count the second visit of the same cookie, or what is measured would not be a session.
 */
export async function sessionCookies(job: Job): Promise<string[]> {
  const wanted = job.sessions ?? job.connections
  const agent = new http.Agent({ keepAlive: true })
  const cookies: string[] = []
  let begun = 0
  const visitor = async () => {
    while (begun++ < wanted) {
      const cookie = await newSession(job, agent)
      if (cookie !== undefined) cookies.push(cookie)
    }
  }
  await Promise.all(Array.from({ length: atATime }, visitor))
  agent.destroy()
  return cookies
}

async function newSession(job: Job, agent: http.Agent): Promise<string | undefined> {
  const first = await visit(job.url, agent)
  if (!job.shared) return first.cookie
  if (first.cookie === undefined) throw new Error(`GET ${job.url}/ set no session cookie.`)
  const { visits } = await visit(job.url, agent, first.cookie)
  if (visits !== 2) throw new Error(`GET ${job.url}/ said visits ${visits} at the second visit of a session.`)
  return first.cookie
}

function visit(url: string, agent: http.Agent, cookie?: string): Promise<Page> {
  const headers = { accept: 'application/json', ...(cookie === undefined ? {} : { cookie }) }
  return new Promise((resolve, reject) => {
    const request = http.get(`${url}/`, { agent, headers, timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode !== 200)
          return reject(new Error(`GET ${url}/ answered ${response.statusCode}: ${body}`))
        const { visits } = JSON.parse(body) as { visits: unknown }
        resolve({ cookie: response.headers['set-cookie']?.[0]?.split(';')[0], visits })
      })
    })
    request.on('timeout', () => request.destroy(new Error(`GET ${url}/ did not answer within 5 s.`)))
    request.on('error', reject)
  })
}
