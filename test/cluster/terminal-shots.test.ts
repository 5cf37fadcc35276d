import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { missing } from '../helpers/programs.ts'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const SCRIPT = fileURLToPath(new URL('../../../scripts/terminal-shots.mjs', import.meta.url))

test('the pictures of the terminal are drawn from a service that runs', { skip: missing('script') }, async (t) => {
  const folder = temporaryFolder(t)
  await promisify(execFile)(process.execPath, [SCRIPT, folder], { env: { ...cleanEnvironment(), PORT: '0' } })
  const textOf = (name: string) => {
    const svg = readFileSync(join(folder, `terminal-${name}.svg`), 'utf8')
    assert.doesNotMatch(svg, /[^\P{Cc}\n]/u, 'control characters')
    return svg.replace(/<[^>]*>/g, '')
  }
  assert.match(
    textOf('start'),
    /\$ muster start app\.mjs --workers 2\n[\d:]+ ready on http:\/\/localhost:\d+ · 2 workers/
  )
  assert.match(textOf('requests'), /GET \/todos 200 [\d.]+ m?s · worker \d[\s\S]*GET \/nowhere 404/)
  assert.match(textOf('reload'), /\$ muster reload\noutcome +done\n[\s\S]*to +1\.1\.0-/)
  assert.match(textOf('crash'), /error worker 1 exited · SIGSEGV[\s\S]*worker 1 ready/)
  assert.match(textOf('status'), /running on http:[\s\S]*\n1 +\d+ +ready[\s\S]*replaced workers: crash 1/)
  assert.match(textOf('why'), /exited +1 +\d+ +2 +SIGSEGV/)
})
