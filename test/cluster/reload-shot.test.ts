import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const SCRIPT = fileURLToPath(new URL('../../../scripts/reload-shot.mjs', import.meta.url))

test('the picture of a reload is drawn from a run in which no request failed', async (t) => {
  const folder = temporaryFolder(t)
  await promisify(execFile)(process.execPath, [SCRIPT, folder], { env: cleanEnvironment() })
  const svg = readFileSync(join(folder, 'reload.svg'), 'utf8')
  assert.match(svg, /failed: 0 · connections closed: 0<\/text>/)
  for (const release of ['1.0.0', '1.1.0']) assert.match(svg, new RegExp(`release ${release}: [1-9]`))
  assert.match(svg, />muster reload</)
  assert.doesNotMatch(svg, /NaN|Infinity|[^\P{Cc}\n]/u)
})
