import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

test('test files that have not begun when the time is over are left out, and count as skipped', () => {
  const env = { ...process.env, TEST_UNTIL: '1' }
  const { stdout, status } = spawnSync(process.execPath, ['scripts/test.mjs', 'unit/first-to-answer'], {
    encoding: 'utf8',
    env
  })
  assert.match(stdout, /== left out, because the time was over:\ndist\/test\/unit\/first-to-answer\.test\.js\n/)
  assert.match(stdout, /\n0 files in .*\n0 passed, 0 failed, 1 skipped\n$/)
  assert.equal(status, 0)
})
