import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Job } from './load.ts'
import type { LoadResult } from './tally.ts'

/** Version of the wrk on the PATH; undefined where there is none. */
export function wrkVersion(): string | undefined {
  // It says how it is to be used as well, and ends with a failure.
  return /^wrk (?:\w+\/)?(\S+)/.exec(spawnSync('wrk', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]
}

/** What it counted, in its own units: microseconds, and errors by kind. */
interface Summary {
  readonly requests: number
  readonly micros: number
  readonly p50: number
  readonly p99: number
  readonly failures: Readonly<Record<string, number>>
}

/**
 * The same load as of the other generators, by wrk: it takes a tenth of what one in JavaScript does of cores that the
 * servers have to share with it. One request at a time on each connection; cookies in turn with each request.
 */
export async function byWrk(job: Job, cookies: readonly string[]): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-wrk-'))
  try {
    const script = join(folder, 'load.lua')
    writeFileSync(script, scriptOf(job, cookies))
    const args = ['-t1', `-c${job.connections}`, `-d${job.seconds}s`, '--timeout', '2s', '-s', script, job.url]
    const { stdout } = await promisify(execFile)('wrk', args)
    const line = stdout.split('\n').find((one) => one.startsWith('{'))
    if (line === undefined) throw new Error(`wrk said nothing of what it counted:\n${stdout}`)
    return resultOf(JSON.parse(line) as Summary)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function resultOf({ requests, micros, p50, p99, failures }: Summary): LoadResult {
  const some = Object.entries(failures).filter(([, times]) => times > 0)
  return {
    requests: requests - (failures.status ?? 0),
    seconds: micros / 1e6,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    failures: Object.fromEntries(some)
  }
}

function scriptOf({ row, url }: Job, cookies: readonly string[]): string {
  const [method, path] = row === 'session' ? ['GET', '/'] : ['POST', '/hits']
  const headers = {
    ...(method === 'POST' && { 'content-length': '0' }),
    host: new URL(url).host,
    accept: 'application/json',
    ...(row === 'connect' && { connection: 'close' })
  }
  const fields = cookies.length > 0 ? cookies.map((cookie) => ({ ...headers, cookie })) : [headers]
  const requests = fields.map((of) => {
    const lines = Object.entries(of).map(([name, value]) => `${name}: ${value}\r\n`)
    return JSON.stringify(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  })
  // A string in JSON is one in Lua too, for what is in these.
  return `
local requests, turn = { ${requests.join(', ')} }, 0
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local failed = summary.errors
  print(string.format(
    '\\n{"requests":%d,"micros":%d,"p50":%f,"p99":%f,"failures":{"status":%d,"connect":%d,"read":%d,"write":%d,"time-out":%d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.status, failed.connect, failed.read, failed.write, failed.timeout))
end
`
}
