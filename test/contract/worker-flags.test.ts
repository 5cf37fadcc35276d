import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { workerSettings } from '../../src/primary/workers/fork.ts'

test('Node and V8 know the flags that workers are started with', () => {
  const env = { ...process.env, NODE_V8_COVERAGE: undefined }
  const flags = workerSettings([], false).execArgv!
  const script = 'JSON.stringify(process.execArgv)'
  assert.deepEqual(JSON.parse(execFileSync(process.execPath, [...flags, '-p', script], { encoding: 'utf8', env })), [
    ...flags,
    '-p',
    script
  ])
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', env })
  for (const flag of ['--allocation-site-pretenuring', '--heap-growing-percent'])
    assert.match(known, new RegExp(`^ +${flag} `, 'm'))
})
