import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import * as module from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import * as errors from '../../src/common/errors.ts'
import { loadModule } from '../../src/config/code-loading.ts'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'

const MODULE = new URL('../../src/config/code-loading.js', import.meta.url).href

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

test('a module without a bundle is loaded as the instance that an import has', async () => {
  assert.equal(await loadModule('common/errors.js'), errors)
})

test('hooks that a flag registers see every module, also those that are in a bundle', (t) => {
  const hooks = `export const load = (url, context, next) =>
    url.endsWith('/config/load.js')
      ? { format: 'module', source: 'export const hooked = 1', shortCircuit: true }
      : next(url, context)`
  const preload = join(temporaryFolder(t), 'preload.cjs')
  const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)
  writeFileSync(preload, `require('node:module').register(${url})`)
  const code = `import { loadModule } from '${MODULE}'; console.log(Object.keys(await loadModule('config/load.js')))`
  const load = (...flags: string[]) =>
    execFileSync(process.execPath, [...flags, '--input-type=module', '--eval', code], { encoding: 'utf8' })
  for (const flag of ['--import', '--require', '-r']) assert.match(load(flag, preload), /hooked/, flag)
  assert.doesNotMatch(load(), /hooked/)
})
