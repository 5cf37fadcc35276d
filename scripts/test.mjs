// Runs the compiled tests, all or those whose path contains one of the arguments: first, two files at a time, those that hold
// the service to a time, then the others, three at a time. The last line counts the tests of both.
// The tests in test/long run only when an argument begins with "long/" (npm run test:long), one file at a time.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/**
 * What is promised in milliseconds is not measured beside tests that take what the machine has, nor of code that counts for
 * coverage how often each part of it runs.
 */
const TIMED = [
  'cluster/admin-faults',
  'cluster/broadcast',
  'cluster/death',
  'cluster/handover',
  'cluster/logs',
  'cluster/metrics',
  'cluster/prometheus',
  'cluster/settings',
  'cluster/slow-clients',
  'cluster/watchers',
  'http/limits',
  'http/maintenance',
  'http/redis-away',
  'http/redis-failures',
  'http/redis-refusals',
  'http/settings'
].map((name) => join('dist/test', `${name}.test.js`))

/** Begun before the others, so that nothing is left to wait for at the end. */
const LONG = ['cluster/soak', 'cluster/reload'].map((name) => join('dist/test', `${name}.test.js`))

const isLong = (file) => file.startsWith(join('dist/test/long/'))
const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true })
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => join('dist/test', file))
  .filter((file) => (wanted.length === 0 && !isLong(file)) || wanted.some((part) => file.includes(part)))
  .filter((file) => !isLong(file) || wanted.some((part) => part.startsWith('long/')))
  .sort((a, b) => Number(LONG.includes(b)) - Number(LONG.includes(a)) || (a < b ? -1 : 1))

const totals = { pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 }
let code = 0

/** Its output goes on as it comes; what it counts is added to the totals. */
function run(some, atATime, env = process.env) {
  if (some.length === 0) return
  const options = [
    `--test-concurrency=${atATime}`,
    `--test-timeout=${some.every(isLong) ? 7_200_000 : 600_000}`,
    '--test-reporter=spec'
  ]
  const child = spawn(process.execPath, ['--test', ...options, ...some], { env, stdio: ['inherit', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout }).on('line', (line) => {
    console.log(line)
    const [, kind, count] = /^ℹ (pass|fail|cancelled|skipped|todo) (\d+)$/.exec(line) ?? []
    if (kind) totals[kind] += Number(count)
  })
  return new Promise((resolve) => {
    child.on('close', (status) => {
      code ||= status ?? 1
      resolve()
    })
  })
}

const isTimed = (file) => TIMED.includes(file)
const { NODE_V8_COVERAGE: _, ...uncounted } = process.env
await run(files.filter(isTimed), 2, uncounted)
await run(
  files.filter((file) => !isTimed(file) && !isLong(file)),
  3
)
await run(files.filter(isLong), 1, uncounted)
const { pass, fail, cancelled, skipped, todo } = totals
console.log(`${pass} passed, ${fail + cancelled} failed, ${skipped + todo} skipped`)
process.exit(code || (fail + cancelled > 0 ? 1 : 0))
