import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ROOT, readPage } from '../helpers/documents.ts'

interface Named {
  promises: number[]
  tests: { promise: number; file: string }[]
}

interface CheckPromises {
  PAGE: string
  promisesAndTests(readme: string, page: string): Named
  faultsOf(
    named: Named,
    exists: (file: string) => boolean,
    results?: Record<string, { passed: number; failed: number; skipped: number }>
  ): string[]
}

const { PAGE, promisesAndTests, faultsOf } = (await import(join(ROOT, 'scripts/check-promises.mjs'))) as CheckPromises

test('each promise of the README names tests, and their files exist', () => {
  const named = promisesAndTests(readPage('README.md'), readPage(PAGE))
  assert.deepEqual(named.promises, [1, 2, 3, 4, 5, 6, 7, 8])
  assert.deepEqual(
    faultsOf(named, (file) => existsSync(join(ROOT, file))),
    []
  )
})

describe('the check of promises reports', () => {
  const README = '## Promises\n\n1. **One.** It\n2. **Two**\n\n## Other\n\n3. **Three**\n'
  const row = (promise: number, file: string) => `| ${promise} | what | \`${file}\` |\n`
  const [A, B] = ['test/a.test.ts', 'test/b.test.ts']
  const faults = (page: string, results?: Parameters<typeof faultsOf>[2]) =>
    faultsOf(promisesAndTests(README, page), (file) => file === A || file === B, results)
  const ran = { passed: 1, failed: 0, skipped: 0 }

  test('nothing when each promise has a test that ran', () => {
    assert.deepEqual(faults(row(1, A) + row(2, A)), [])
    assert.deepEqual(faults(row(1, A) + row(2, B), { 'dist/test/a.test.js': ran, 'dist/test/b.test.js': ran }), [])
  })

  for (const [what, page, results, expected] of [
    ['a promise without a test', row(1, A), undefined, 'promise 2 names no test'],
    [
      'a test of no promise',
      row(1, A) + row(2, A) + row(3, B),
      undefined,
      `${B} tests promise 3, which README.md does not make`
    ],
    ['a file that does not exist', row(1, A) + row(2, 'test/c.test.ts'), undefined, 'test/c.test.ts does not exist'],
    ['a file that is no test', row(1, A) + row(2, 'src/main.ts'), undefined, 'src/main.ts is no test file'],
    ['a test that has not run', row(1, A) + row(2, A), {}, `${A} has not run`],
    [
      'a test that failed',
      row(1, A) + row(2, A),
      { 'dist/test/a.test.js': { ...ran, failed: 2 } },
      `${A}: 2 tests failed`
    ],
    [
      'tests that were skipped',
      row(1, A) + row(2, A),
      { 'dist/test/a.test.js': { passed: 0, failed: 0, skipped: 3 } },
      `${A}: no test passed, 3 were skipped`
    ]
  ] as const) {
    test(what, () => assert.deepEqual(faults(page, results), [expected]))
  }
})
