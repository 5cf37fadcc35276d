import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const blocksOf = (page: string) => [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```js\n(.*?)^```$/gms)]

test('the test of docs/reference/testing.md passes for the app of docs/guide/first-app.md', (t) => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(ROOT, join(folder, 'node_modules', 'muster-serve'))
  const [[, app = ''] = []] = blocksOf('docs/guide/first-app.md')
  const [[, first = ''] = [], [, second = ''] = []] = blocksOf('docs/reference/testing.md')
  writeFileSync(join(folder, 'app.mjs'), app)
  const workers = `test('two workers', async () => {\n${second}
  await first.inject({ method: 'POST', url: '/orders' })
  assert.equal((await second.inject({ method: 'POST', url: '/orders' })).json().number, 2)
  await second.close()
  await first.close()
})`
  writeFileSync(join(folder, 'app.test.mjs'), `${first}\n${workers}`)
  const { status, stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', 'app.test.mjs'], {
    cwd: folder,
    env: cleanEnvironment(),
    encoding: 'utf8'
  })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /# pass 2/)
})
