import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inlinesFunctions } from '../../src/worker/function-inlining.ts'

const PROGRAM = fileURLToPath(new URL('../fixtures/inlined-samples.js', import.meta.url))
/** A property of its own, since Node passes the variable on to every child whose environment does not have it. */
const env = { ...process.env, NODE_V8_COVERAGE: undefined }
const node = (...args: string[]) => execFileSync(process.execPath, args, { encoding: 'utf8', env })
const measure = (...flags: string[]) =>
  JSON.parse(node(...flags, PROGRAM)) as { before: number; meanwhile: number; after: number; changes: boolean }

test('V8 has the flag that forbids inlining, and inlines by default', () => {
  assert.match(node('--v8-options'), /^ +--turbo-inlining .*\n +type: bool +default: --turbo-inlining$/m)
})

test('without inlining every function counts for itself in a profile, and afterwards V8 inlines as before', () => {
  const shares = measure()
  assert.equal(shares.changes, true)
  assert.ok(shares.meanwhile > 0.9, JSON.stringify(shares))
  assert.ok(Math.abs(shares.after - shares.before) < 0.3, JSON.stringify(shares))
})

test('a process that was started without inlining is left alone', () => {
  assert.equal(measure('--no-turbo-inlining').changes, false)
})

test('the last flag counts, in every spelling that V8 knows', () => {
  for (const flags of [[], ['--turbo-inlining'], ['--no-turbo-inlining', '--turbo_inlining'], ['--no-opt']]) {
    assert.equal(inlinesFunctions(flags), true, flags.join(' '))
  }
  for (const flag of ['--no-turbo-inlining', '--no_turbo_inlining', '--noturbo-inlining']) {
    assert.equal(inlinesFunctions(['--turbo-inlining', flag]), false, flag)
    assert.equal(node(flag, '-p', '1'), '1\n', 'V8 takes it')
  }
})

test('Node refuses the flag in NODE_OPTIONS, so that the command line is the only place to look', () => {
  const options = { encoding: 'utf8', stdio: 'pipe', env: { ...env, NODE_OPTIONS: '--no-turbo-inlining' } } as const
  assert.throws(() => execFileSync(process.execPath, ['-p', '1'], options), /not allowed in NODE_OPTIONS/)
})
