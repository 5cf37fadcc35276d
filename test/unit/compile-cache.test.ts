import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as module from 'node:module'
import { test } from 'node:test'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'

const MODULE = new URL('../../src/config/compile-cache.js', import.meta.url).href

/** Where a fresh process keeps compiled code; undefined: nowhere. */
function keptIn(environment: Record<string, string>): string | undefined {
  const code = `import(${JSON.stringify(MODULE)}).then(({ keepCompiledCode }) => {
    keepCompiledCode(${JSON.stringify(environment)})
    console.log(require('node:module').getCompileCacheDir?.() ?? '')
  })`
  const { NODE_V8_COVERAGE: _, ...env } = cleanEnvironment()
  return execFileSync(process.execPath, ['-e', code], { encoding: 'utf8', env }).trim() || undefined
}

test('compiled code is kept in the cache folder where Node supports it, except under coverage', (t) => {
  const folder = temporaryFolder(t)
  const can = 'enableCompileCache' in module
  assert.equal(keptIn({ XDG_CACHE_HOME: folder })?.startsWith(`${folder}/muster/compiled`) ?? false, can)
  assert.equal(keptIn({ XDG_CACHE_HOME: folder, NODE_V8_COVERAGE: '/somewhere' }), undefined)
  assert.equal(keptIn({ XDG_CACHE_HOME: '/dev/null' }), undefined, 'a folder that cannot be')
})
