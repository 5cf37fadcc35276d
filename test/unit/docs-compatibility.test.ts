import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CASES } from '../compat/cases/index.ts'
import { FOLDER } from '../compat/installed.ts'
import { PAGE, readResults, renderPage, versionsOf } from '../compat/results.ts'

const cases = Object.values(CASES).flat()

test('docs/compatibility.md lists exactly the cases of the suite, with their results', () => {
  const results = readResults()
  assert.deepEqual(
    Object.keys(results),
    cases.map(({ name }) => name)
  )
  assert.equal(readFileSync(PAGE, 'utf8'), renderPage(results), 'write it with npm run test:compat -- --write')
})

test('the results are those of the pinned versions', () => {
  const results = readResults()
  for (const one of cases) assert.deepEqual(results[one.name]?.versions, versionsOf(one), one.name)
})

test('each case has a name and an app of its own, and pinned packages', () => {
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length)
  for (const one of cases) {
    const app = one.app ?? `${one.name}.js`
    // The starter apps of Nest are compiled when they run.
    const source = app.replace('/dist/', '/src/').replace(/\/src\/(.*)\.js$/, '/src/$1.ts')
    assert.ok(existsSync(join(FOLDER, 'apps', source)), `${one.name}: ${source} does not exist`)
    for (const [name, version] of Object.entries(versionsOf(one))) assert.match(version, /^\d+\.\d+\.\d+$/, name)
  }
})
