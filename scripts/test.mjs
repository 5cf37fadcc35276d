// Runs compiled tests: the files whose path contains one of the arguments ("unit/plan", "long/"). Without arguments, all but test/long,
// test/compat and the files that import test/helpers/takes-long.ts; with --slow, these; with --all, both. Other arguments that begin with
// "--" go to node, for example --test-name-pattern=reload.
//
// Files that assert times (they import test/helpers/timed.ts) run first, two at a time and without coverage. All other files follow,
// up to TEST_JOBS at a time (default: two per core, because tests of processes and timeouts often wait), and only one per core while
// processes wait for a CPU; test/long runs one file at a time (LONG_JOBS: more). The files that took longest in the last run start first.
// TEST_UNTIL, in seconds since 1970: files that have not begun by then are left out and count as skipped, but for those of promises that have not run yet.
// The output of a file is printed when it ends. The last line counts the tests.
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PAGE, promisesAndTests, RESULTS } from './check-promises.mjs'

const TESTS = join('dist', 'test')
const FILE_TIMEOUT_MS = 600_000
const LONG_FILE_TIMEOUT_MS = 7_200_000
/** Where processes wait for a CPU for more than this share of the time, in percent, more files at a time would only slow one another down. */
const MAX_CPU_PRESSURE = 70
const PRESSURE_INTERVAL_MS = 1000

const onlySlow = process.argv.includes('--slow')
const all = process.argv.includes('--all')
const options = process.argv.slice(2).filter((argument) => /^--(?!(slow|all)$)/.test(argument))
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const isLong = (file) => file.startsWith(join(TESTS, 'long/'))
const isCompat = (file) => file.startsWith(join(TESTS, 'compat/'))
const imports = (file, helper) => readFileSync(file, 'utf8').includes(`'../helpers/${helper}.js'`)
const isTimed = (file) => !isLong(file) && imports(file, 'timed')
const isSlow = (file) => !isLong(file) && imports(file, 'takes-long')

const files = readdirSync(TESTS, { recursive: true })
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => join(TESTS, name))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .filter((file) => wanted.length > 0 || all || isSlow(file) === onlySlow)
  .filter((file) => !isLong(file) || wanted.some((part) => part.startsWith('long/')))
  .filter((file) => !isCompat(file) || wanted.some((part) => part.startsWith('compat/')))

const results = readJson(RESULTS)
const totals = { pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 }
const failures = []
const leftOut = []
const until = Number(process.env.TEST_UNTIL || Infinity)
let running = 0
const startedAt = performance.now()

// These tests talk to no other host, and Node 20 takes 90 ms to read these certificates whenever it starts.
if (wanted.length === 0 && !onlySlow && !all) delete process.env.NODE_EXTRA_CA_CERTS
const { NODE_V8_COVERAGE: _, ...withoutCoverage } = process.env
await runAll(files.filter(isTimed), 2, withoutCoverage)
await runAll(
  files.filter((file) => !isTimed(file) && !isLong(file)),
  Number(process.env.TEST_JOBS || 2 * availableParallelism()),
  process.env
)
await runAll(files.filter(isLong), Number(process.env.LONG_JOBS || 1), withoutCoverage)
totals.skipped += leftOut.length

mkdirSync(dirname(RESULTS), { recursive: true })
writeFileSync(RESULTS, JSON.stringify(results, undefined, 2))
for (const { file, output } of failures) console.log(`\n== failed: ${file}\n${output}`)
if (leftOut.length > 0) console.log(`\n== left out, because the time was over:\n${leftOut.join('\n')}`)
console.log(`\n${files.length - leftOut.length} files in ${seconds(startedAt)} s`)
const failed = totals.fail + totals.cancelled
console.log(`${totals.pass} passed, ${failed} failed, ${totals.skipped + totals.todo} skipped`)
process.exit(failures.length > 0 || failed > 0 || files.length === 0 ? 1 : 0)

/** Runs files, `jobs` at a time, the longest ones first. */
async function runAll(some, jobs, env) {
  const queue = some.sort((a, b) => expectedSeconds(b) - expectedSeconds(a))
  const runQueue = async () => {
    while (queue.length > 0) {
      while (running >= availableParallelism() && cpuPressure() > MAX_CPU_PRESSURE) await sleep(PRESSURE_INTERVAL_MS)
      const file = queue.shift()
      if (file === undefined) return
      if (Date.now() / 1000 > until && (results[file] || !isPromised(file))) {
        leftOut.push(file)
        continue
      }
      running++
      await runFile(file, env)
      running--
    }
  }
  await Promise.all(Array.from({ length: jobs }, runQueue))
}

/** How much of the last 10 s some process waited for a CPU, in percent. 0 where the kernel does not measure it. */
function cpuPressure() {
  try {
    return Number(/avg10=([\d.]+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))[1])
  } catch {
    return 0
  }
}

function isPromised(file) {
  const { tests } = promisesAndTests('', readFileSync(PAGE, 'utf8'))
  return tests.some((test) => file === join('dist', test.file.replace(/\.ts$/, '.js')))
}

/** Runs one file in a process of its own, prints its output and adds its counts to the totals. */
async function runFile(file, env) {
  const begin = performance.now()
  const child = spawn(process.execPath, ['--test-reporter=spec', ...options, file], {
    env: { ...env, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const timeout = setTimeout(
    () => child.kill('SIGKILL'),
    isLong(file) || isCompat(file) ? LONG_FILE_TIMEOUT_MS : FILE_TIMEOUT_MS
  )
  const status = await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(timeout)
  const counts = { pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 }
  output = output.replace(/^(?:\S*)?ℹ (\w+) ([\d.]+).*\n/gmu, (_line, kind, count) => {
    if (kind in counts) counts[kind] += Number(count)
    return ''
  })
  for (const kind of Object.keys(counts)) totals[kind] += counts[kind]
  const failed = counts.fail + counts.cancelled + (status === null ? 1 : 0)
  const result = {
    seconds: Number(seconds(begin)),
    passed: counts.pass,
    failed,
    skipped: counts.skipped + counts.todo,
    counted: {}
  }
  results[file] = result
  for (const [, found] of output.matchAll(/ℹ counted: (\{.*\})/gu)) {
    for (const [kind, count] of Object.entries(JSON.parse(found)))
      result.counted[kind] = (result.counted[kind] ?? 0) + count
  }
  // Node repeats the tests that failed below this heading; here all files' failures come at the end.
  console.log(`== ${file} (${result.seconds} s)\n${output.split(/^.*failing tests:/m)[0].trimEnd()}`)
  if (status === 0) return
  if (status === null) totals.cancelled++
  failures.push({ file, output: status === null ? `killed after ${result.seconds} s\n${output}` : output })
}

/** Seconds of the last run. Files that never ran start first, large process tests before the others. */
function expectedSeconds(file) {
  return results[file]?.seconds ?? (file.includes('cluster') ? 2000 : 1000) + statSync(file).size / 1000
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return {}
  }
}

function seconds(since) {
  return ((performance.now() - since) / 1000).toFixed(1)
}
