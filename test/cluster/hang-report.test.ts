import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { type HangReport, readHangReport, saveHangReport } from '../../src/primary/health/hang-report.ts'
import type { StackFrame } from '../../src/primary/health/inspector.ts'
import { readProcessStat } from '../../src/primary/health/process-stat.ts'
import { workerSettings } from '../../src/primary/workers/fork.ts'
import { StderrTail } from '../../src/primary/workers/stderr-tail.ts'
import { freePort } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

/** The default is for a worker that has a machine; a test shares it. */
const DEADLINE_MS = 30_000

/** A process that has begun to be blocked in this way, and is for at least 50 ms if it can be seen; gone after the test. */
async function startBlocked(t: TestContext, way: string): Promise<{ child: ChildProcess; stderr: StderrTail }> {
  const { execArgv, stdio } = workerSettings([], false)
  const file = join(temporaryFolder(t), 'blocked')
  const env = { ...process.env, BLOCKED: file }
  const child = fork(fixture('blocked'), [way], { env, execArgv: execArgv!, stdio: stdio! as never })
  t.after(() => child.kill('SIGKILL'))
  const stderr = new StderrTail(child.stderr!, new PassThrough().resume())
  await once(child, 'message')
  if (way === 'exec') {
    await until(() => existsSync(file) && readProcessStat(child.pid!)!.state === 'S', 'the sleep')
  }
  return { child, stderr }
}

/** The innermost frame that is none of node's own. */
const innermost = (stack: StackFrame[]): StackFrame =>
  stack.find(({ url }) => !url.startsWith('node:')) ?? assert.fail('no frame')

const burnt = (pid: number, ms: number) => {
  const { cpuMs } = readProcessStat(pid)!
  return until(() => readProcessStat(pid)!.cpuMs - cpuMs > ms, 'CPU time without turning')
}

test('the stack of an endless loop is read, also for two workers at once', async (t) => {
  const workers = await Promise.all([startBlocked(t, 'loop'), startBlocked(t, 'loop')])
  await Promise.all(workers.map(({ child }) => burnt(child.pid!, 50)))
  const boxes = await Promise.all(workers.map(({ child, stderr }) => readHangReport(child, stderr, DEADLINE_MS)))
  for (const [i, { pid, stack, process }] of boxes.entries()) {
    assert.equal(pid, workers[i]!.child.pid)
    const { functionName, url, line } = innermost(stack)
    assert.equal(functionName, 'spin')
    assert.match(url, /\/fixtures\/blocked\.js$/)
    const source = readFileSync(fixture('blocked'), 'utf8').split('\n')
    assert.match(source.slice(0, line).join('\n'), /function spin\(\) \{\s+for \(;;\)\s*;?$/)
    assert.ok(process!.rssBytes > 1e6)
  }
})

test('a deep stack is cut to its 64 innermost frames', async (t) => {
  const { child, stderr } = await startBlocked(t, 'deep')
  await burnt(child.pid!, 50)
  const { stack } = await readHangReport(child, stderr, DEADLINE_MS)
  assert.equal(stack.length, 64)
  const own = stack.filter(({ url }) => !url.startsWith('node:'))
  assert.ok(own.length > 55)
  assert.deepEqual(new Set(own.map(({ functionName }) => functionName)), new Set(['dig']))
})

test('the inspector reads the stack of a worker that is blocked in Atomics.wait', async (t) => {
  const { child, stderr } = await startBlocked(t, 'atomics')
  await until(() => readProcessStat(child.pid!)!.state === 'S', 'the sleep')
  const { stack, process } = await readHangReport(child, stderr, DEADLINE_MS)
  assert.equal(innermost(stack).functionName, 'atomics')
  assert.equal(process!.state, 'S')
})

test('a worker blocked in execSync has no stack, and the report says where it waits in the kernel', async (t) => {
  const { child, stderr } = await startBlocked(t, 'exec')
  const started = performance.now()
  const { stack, inFlight, note, process } = await readHangReport(child, stderr, 300)
  assert.ok(performance.now() - started >= 299)
  assert.deepEqual([stack, inFlight], [[], []])
  assert.match(note!, /^asleep in a system call: (wchan \w+, )?syscall \d+$/)
  assert.equal(process!.state, 'S')
})

test('a stopped or ended process gives a note instead of an error', async (t) => {
  const { child, stderr } = await startBlocked(t, 'turning')
  child.kill('SIGSTOP')
  await until(() => readProcessStat(child.pid!)!.state === 'T', 'the stop')
  assert.equal((await readHangReport(child, stderr, 100)).note, 'stopped by a signal')
  const exited = once(child, 'exit')
  const reading = readHangReport(child, stderr, DEADLINE_MS)
  child.kill('SIGKILL')
  assert.deepEqual((await reading).stack, [])
  await exited
  const gone = await readHangReport(child, stderr, DEADLINE_MS)
  assert.deepEqual(gone, { pid: child.pid, stack: [], inFlight: [], note: 'the process has ended' })
})

test('an inspector address of another host is never contacted', async (t) => {
  const { child } = await startBlocked(t, 'exec')
  const said = new PassThrough()
  const stderr = new StderrTail(said, new PassThrough().resume())
  said.write('Debugger listening on ws://192.0.2.1:80/01234567-89ab-cdef-0123-456789abcdef\n')
  assert.match((await readHangReport(child, stderr, 100)).note!, /^asleep/)
  // No process listens on that port.
  said.write(`Debugger listening on ws://127.0.0.1:${await freePort()}/01234567-89ab-cdef-0123-456789abcdef\n`)
  assert.match((await readHangReport(child, stderr, DEADLINE_MS)).note!, /^its inspector failed: .*ECONNREFUSED/)
})

test('the newest ten reports are kept, readable by their owner only', (t) => {
  const runDir = temporaryFolder(t)
  const box: HangReport = { pid: 0, stack: [], inFlight: [], note: 'a note' }
  for (let i = 0; i < 12; i++) {
    const file = saveHangReport(runDir, i % 3, { ...box, pid: 100 + i })
    assert.equal(file, join(runDir, `hang-${i % 3}-${100 + i}.json`))
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { ...box, pid: 100 + i })
    assert.equal(statSync(file).mode & 0o777, 0o600)
    utimesSync(file, i, i)
  }
  const pids = readdirSync(runDir).map((name) => Number(/-(\d+)\.json$/.exec(name)![1]))
  // The last one was not yet as old as it is now when the eleventh before it went.
  assert.deepEqual(pids.sort(), [102, 103, 104, 105, 106, 107, 108, 109, 110, 111])
})
