import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { replaceOnce } from '../sim/planted/find-planted.ts'
import { PLANTED_BUGS } from '../sim/planted/planted-bugs.ts'

test('every planted bug still has its place in the source, once', () => {
  for (const { file, text, replacement } of PLANTED_BUGS) {
    for (const path of [`src/${file}.ts`, `dist/src/${file}.js`]) {
      const source = readFileSync(path, 'utf8')
      assert.doesNotThrow(() => replaceOnce(source, text, replacement), path)
    }
  }
})
