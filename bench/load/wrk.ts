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
    const [script, list] = [join(folder, 'load.lua'), join(folder, 'cookies')]
    writeFileSync(script, scriptOf(job, list))
    writeFileSync(list, cookies.map((cookie) => `${cookie}\n`).join(''))
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

/** @param list path of the cookies, one a line: a script may not have so many constants */
function scriptOf({ row, url }: Job, list: string): string {
  const headers = {
    host: new URL(url).host,
    accept: 'application/json',
    ...(row === 'connect' && { connection: 'close' }),
    ...(row !== 'session' && { 'content-length': '0' })
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const start = `${row === 'session' ? 'GET /' : 'POST /hits'} HTTP/1.1\r\n${lines.join('')}`
  // A string in JSON is one in Lua too, for what is in these.
  return `
local start, requests, turn = ${JSON.stringify(start)}, {}, 0
for cookie in io.lines(${JSON.stringify(list)}) do
  requests[#requests + 1] = start .. "cookie: " .. cookie .. "\\r\\n\\r\\n"
end
if #requests == 0 then requests[1] = start .. "\\r\\n" end
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
