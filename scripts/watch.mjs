// Builds and runs the tests that match the arguments, again after every change of src or test.
// Usage: npm run test:watch -- unit/plan
import { spawn } from 'node:child_process'
import { watch } from 'node:fs'

/** Editors write several files at once. */
const SETTLE_MS = 200

let changed = true
let wake = () => {}
let timer
for (const folder of ['src', 'test']) {
  watch(folder, { recursive: true }, () => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      changed = true
      wake()
    }, SETTLE_MS)
  })
}
while (true) {
  if (!changed) await new Promise((resolve) => (wake = resolve))
  changed = false
  if ((await run('scripts/build.mjs')) === 0) await run('scripts/test.mjs', ...process.argv.slice(2))
  console.log('waiting for a change; press Ctrl-C to leave')
}

function run(...command) {
  return new Promise((resolve) => spawn(process.execPath, command, { stdio: 'inherit' }).on('close', resolve))
}
