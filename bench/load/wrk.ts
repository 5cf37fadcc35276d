import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { RateJob, RateResult } from './load.ts'

/** The version of wrk on the PATH; undefined where there is none. */
export function wrkVersion(): string | undefined {
  // It prints its usage as well and exits with an error.
  return /^wrk (?:\w+\/)?(\S+)/.exec(spawnSync('wrk', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]
}

/** The counts of wrk in its own units: microseconds, and errors by kind. */
interface Summary {
  readonly requests: number
  readonly micros: number
  readonly p50: number
  readonly p99: number
  readonly failures: Readonly<Record<string, number>>
}

/**
 * The load by wrk, which uses a tenth of the CPU of a generator in JavaScript: servers and load share the cores. One request
 * at a time on each connection, cookies in turn.
 */
export async function byWrk(job: RateJob, cookies: readonly string[]): Promise<RateResult> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-wrk-'))
  try {
    const [script, list] = [join(folder, 'load.lua'), join(folder, 'cookies')]
    writeFileSync(script, scriptOf(job, list))
    writeFileSync(list, cookies.map((cookie) => `${cookie}\n`).join(''))
    const args = ['-t1', `-c${job.connections}`, `-d${job.seconds}s`, '--timeout', '2s', '-s', script, job.url]
    const { stdout } = await promisify(execFile)('wrk', args)
    const line = stdout.split('\n').find((one) => one.startsWith('{'))
    if (line === undefined) throw new Error(`wrk printed no counts:\n${stdout}`)
    return resultOf(JSON.parse(line) as Summary)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function resultOf({ requests, micros, p50, p99, failures }: Summary): RateResult {
  const some = Object.entries(failures).filter(([, times]) => times > 0)
  return {
    requests: requests - (failures.status ?? 0),
    seconds: micros / 1e6,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    failures: Object.fromEntries(some)
  }
}

/** @param list path of a file with one cookie per line: a Lua script may not contain that many constants */
function scriptOf({ row, url }: RateJob, list: string): string {
  const headers = {
    host: new URL(url).host,
    accept: 'application/json',
    ...(row === 'connect' && { connection: 'close' }),
    ...(row !== 'session' && { 'content-length': '0' })
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const start = `${row === 'session' ? 'GET /' : 'POST /hits'} HTTP/1.1\r\n${lines.join('')}`
  // For these characters a JSON string is a Lua string too.
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
    '\\n{"requests":%d,"micros":%d,"p50":%f,"p99":%f,"failures":{"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.status, failed.connect, failed.read, failed.write, failed.timeout))
end
`
}
