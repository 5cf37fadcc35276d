import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { assessLiveness } from '../../src/primary/health/liveness.ts'
import { readProcessStat, readSleep } from '../../src/primary/health/process-stat.ts'
import { until } from '../helpers/until.ts'

/** A process that has begun to be blocked in this way; gone after the test. */
async function startBlocked(t: TestContext, way: string): Promise<number> {
  const child = fork(new URL('../fixtures/blocked.js', import.meta.url), [way])
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'message')
  return child.pid!
}

const cpuOf = (pid: number) => readProcessStat(pid)!.cpuMs

test('CPU time grows with work, and the memory is what Node reports', () => {
  const before = readProcessStat(process.pid)!
  const started = process.cpuUsage()
  while (process.cpuUsage(started).user < 200_000);
  const now = readProcessStat(process.pid)!
  assert.ok(now.cpuMs - before.cpuMs >= 150, `${now.cpuMs - before.cpuMs} ms`)
  assert.ok(now.at - before.at >= now.cpuMs - before.cpuMs - 10, 'no thread has more CPU time than there was time')
  assert.equal(now.state, 'R')
  assert.ok(now.waitMs! >= before.waitMs!)
  const ratio = now.rssBytes / process.memoryUsage.rss()
  assert.ok(ratio > 0.8 && ratio < 1.25, `${ratio}`)
})

test('a process that has ended has no stat', async (t) => {
  const child = fork(new URL('../fixtures/blocked.js', import.meta.url), ['turning'])
  t.after(() => child.kill('SIGKILL'))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(readProcessStat(child.pid!), undefined)
  assert.deepEqual(readSleep(child.pid!), {})
})

test('an endless loop is hung after it has used its CPU time', async (t) => {
  const pid = await startBlocked(t, 'loop')
  const before = readProcessStat(pid)!
  await until(() => cpuOf(pid) - before.cpuMs >= 250, 'CPU time')
  const { verdict, cause } = assessLiveness(before, readProcessStat(pid)!, 500)
  assert.equal(verdict, 'hung')
  assert.match(cause, /event loop used/)
})

for (const way of ['atomics', 'exec']) {
  test(`blocked in ${way}: asleep, and the kernel reports where`, async (t) => {
    const pid = await startBlocked(t, way)
    await until(() => readProcessStat(pid)!.state === 'S' && readSleep(pid).syscall, 'a sleep')
    const before = readProcessStat(pid)!
    await until(() => performance.now() - before.at > 300, 'some silence')
    await until(() => assessLiveness(before, readProcessStat(pid)!).cause.startsWith('asleep'), 'the diagnosis')
    assert.match(readSleep(pid).syscall!, /^\d+$/)
  })
}

test('a stopped process is recognized', async (t) => {
  const pid = await startBlocked(t, 'loop')
  const before = readProcessStat(pid)!
  process.kill(pid, 'SIGSTOP')
  await until(() => readProcessStat(pid)!.state === 'T', 'the stop')
  assert.match(assessLiveness(before, readProcessStat(pid)!, 60_000).cause, /^stopped/)
})
