import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StderrTail } from '../../src/primary/workers/stderr-tail.ts'

/** Never waited for when all is well. */
const LONG_MS = 30_000

test('standard error is passed on unchanged, and its last 8 KiB are kept', async () => {
  const script = 'for (let i = 0; i < 60000; i++) process.stderr.write("line " + i + " äöü\\n")'
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  const out = new PassThrough()
  const passed = text(out)
  const stderr = new StderrTail(child.stderr, out)
  const tail = await stderr.lastOutput(LONG_MS)
  out.end()
  const expected = Array.from({ length: 60_000 }, (_, i) => `line ${i} äöü\n`).join('')
  assert.equal(await passed, expected)
  assert.ok(Buffer.byteLength(tail) >= 8 * 1024 && Buffer.byteLength(tail) < 8 * 1024 + 4)
  assert.ok(expected.endsWith(tail.slice(1)), 'but for half a character at its start')
})

test('a pattern is found in earlier and later output, in any pieces', async () => {
  const stream = new PassThrough()
  const stderr = new StderrTail(stream, new PassThrough().resume())
  stream.write('listening on 1')
  assert.equal((await stderr.waitFor(/on (\d)/, LONG_MS))?.[1], '1')
  const later = stderr.waitFor(/then on (\d+);/, LONG_MS)
  stream.write(' th')
  stream.write('en on 2')
  stream.write('3;')
  assert.equal((await later)?.[1], '23')
})

test('waiting ends at the timeout or at the end of the stream', async () => {
  const stream = new PassThrough()
  const stderr = new StderrTail(stream, new PassThrough().resume())
  const listeners = stream.listenerCount('data')
  assert.equal(await stderr.waitFor(/never/, 20), undefined)
  const waiting = stderr.waitFor(/never/, LONG_MS)
  stream.end('the end')
  assert.equal(await waiting, undefined)
  assert.equal(await stderr.waitFor(/never/, LONG_MS), undefined)
  assert.equal((await stderr.waitFor(/end$/, LONG_MS))?.[0], 'end')
  assert.equal(await stderr.lastOutput(LONG_MS), 'the end')
  assert.equal(stream.listenerCount('data'), listeners)
})

test('the last output does not wait for a child process that keeps the stream open', async () => {
  const script =
    'require("child_process").spawn("sleep", ["3"], { stdio: "inherit" }); console.error("bye"); process.exit()'
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  const stderr = new StderrTail(child.stderr, new PassThrough().resume())
  await once(child, 'exit')
  await stderr.waitFor(/bye/, LONG_MS)
  assert.equal(await stderr.lastOutput(50), 'bye\n')
  assert.equal(child.stderr.closed, false)
})

test('the stream is read even if its destination fails', async () => {
  const out = new PassThrough()
  out.on('error', () => {})
  out.destroy(new Error('EPIPE'))
  const stream = new PassThrough()
  const stderr = new StderrTail(stream, out)
  for (let i = 0; i < 100; i++) {
    stream.write('x'.repeat(1000))
    await sleep(0)
  }
  stream.end('the end')
  assert.match(await stderr.lastOutput(LONG_MS), /xthe end$/)
})

test('a worker that writes without end is slowed down', async () => {
  const stream = new PassThrough({ highWaterMark: 1e6 })
  const stderr = new StderrTail(stream, new PassThrough().resume())
  for (const [bytes, paused] of [
    [64 * 1024 - 1, false],
    [64 * 1024, true]
  ] as const) {
    stream.write(Buffer.alloc(bytes, 'x'))
    await stderr.waitFor(/x$/, LONG_MS)
    assert.equal(stream.isPaused(), paused)
  }
  stream.end('the end')
  assert.match(await stderr.lastOutput(LONG_MS), /the end$/)
})
