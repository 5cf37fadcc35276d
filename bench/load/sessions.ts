import type { RateJob } from './load.ts'

/** More at once would only wait in a queue. */
const AT_A_TIME = 64

/**
 * One session for each connection, or as many as the job says: the `name=value` of the cookie that GET / sets. A server that
 * shares its sessions must count the second visit of a cookie; otherwise no session would be measured.
 */
export async function sessionCookies(job: RateJob): Promise<string[]> {
  const wanted = job.sessions ?? job.connections
  const cookies: string[] = []
  let begun = 0
  const visitor = async () => {
    while (begun++ < wanted) {
      const { cookie } = await visit(job.url)
      if (cookie === undefined && job.shared) throw new Error(`GET ${job.url}/ set no session cookie`)
      if (cookie === undefined) continue
      cookies.push(cookie)
      if (!job.shared) continue
      const { visits } = await visit(job.url, cookie)
      if (visits !== 2) throw new Error(`GET ${job.url}/ counted ${visits} at the second visit of a session`)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, visitor))
  return cookies
}

async function visit(url: string, cookie?: string): Promise<{ cookie: string | undefined; visits: unknown }> {
  const headers = { accept: 'application/json', ...(cookie && { cookie }) }
  const response = await fetch(`${url}/`, { headers, signal: AbortSignal.timeout(5000) })
  if (response.status !== 200) throw new Error(`GET ${url}/ answered ${response.status}: ${await response.text()}`)
  const { visits } = (await response.json()) as { visits: unknown }
  return { cookie: response.headers.get('set-cookie')?.split(';')[0], visits }
}
