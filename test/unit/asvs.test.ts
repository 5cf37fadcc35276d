import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

/** How many rows each section of chapter V7 has, from 7.1 on. */
const ROWS = [3, 4, 2, 5, 3, 2]

test('each row of ASVS 5, V7, names an existing test or a reason', () => {
  const rows = [...read('docs/explanation/security.md').matchAll(/^\| (7\.\d\.\d) \| [^|]+ \| ([^|]+) \|$/gm)]
  const wanted = ROWS.flatMap((count, i) => Array.from({ length: count }, (_, j) => `7.${i + 1}.${j + 1}`))
  assert.deepEqual(
    rows.map(([, row]) => row),
    wanted
  )
  for (const [, row, here = ''] of rows) {
    const named = [...here.matchAll(/`(test\/[\w/.-]+)`: \*([^*]+)\*/g)]
    assert.ok(/^no: ./.test(here) !== named.length > 0, `${row}: a test, or why not`)
    for (const [, file = '', name] of named) {
      const text = read(file)
      assert.ok(text.includes(`test('${name}'`) || text.includes(`test("${name}"`), `${row}: ${file}: ${name}`)
    }
  }
})
