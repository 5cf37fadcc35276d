import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ROOT } from '../helpers/documents.ts'
import { temporaryFolder } from '../helpers/service.ts'

const RUNNER = join(ROOT, 'scripts/test.mjs')
const PASSES = `import { test } from 'node:test'
test('passes', () => {})
`
const FAILS = `import { test } from 'node:test'
test('fails', () => { throw new Error('as ever') })
`
/** The first run leaves a file behind. */
const FAILS_ONCE = `import { existsSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
test('fails once', () => {
  if (existsSync('ran')) return
  writeFileSync('ran', '')
  throw new Error('for once')
})
`

/** Runs the runner on files of a folder of its own, by name. */
function run(t: TestContext, files: Record<string, string>, TEST_RETRIES?: string) {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'dist/test'), { recursive: true })
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, 'dist/test', `${name}.test.js`), code)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const { NODE_TEST_CONTEXT: _, NODE_V8_COVERAGE: __, TEST_RETRIES: ___, ...env } = process.env
  const retries = TEST_RETRIES === undefined ? {} : { TEST_RETRIES }
  const { status, stdout } = spawnSync(process.execPath, [RUNNER], {
    cwd: folder,
    env: { ...env, ...retries },
    encoding: 'utf8'
  })
  return { status, stdout, totals: stdout.trimEnd().split('\n').at(-1) }
}

test('a failed file fails the run, and is not repeated by default', (t) => {
  const { status, stdout, totals } = run(t, { good: PASSES, once: FAILS_ONCE })
  assert.deepEqual([status, totals], [1, '1 passed, 1 failed, 0 skipped'])
  assert.match(stdout, /^== failed: \S*once.*for once/ms)
})

test('with TEST_RETRIES, a file that fails once is counted as passed, and listed with its failure', (t) => {
  const { status, stdout, totals } = run(t, { good: PASSES, once: FAILS_ONCE }, '1')
  assert.deepEqual([status, totals], [0, '2 passed, 0 failed, 0 skipped'])
  assert.match(stdout, /^== flaky: \S*once\S* failed, and passed alone.*for once/ms)
  assert.doesNotMatch(stdout, /^== failed/m)
})

test('with TEST_RETRIES, what fails twice fails the run, and more failures than this are not repeated', (t) => {
  const twice = run(t, { bad: FAILS, once: FAILS_ONCE }, '2')
  assert.deepEqual([twice.status, twice.totals], [1, '1 passed, 1 failed, 0 skipped'])
  assert.match(twice.stdout, /^== failed: \S*bad/m)
  const tooMany = run(t, { bad: FAILS, once: FAILS_ONCE }, '1')
  assert.deepEqual([tooMany.status, tooMany.totals], [1, '0 passed, 2 failed, 0 skipped'])
})
