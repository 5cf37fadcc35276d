// Runs the compiled tests, all or those whose path contains one of the arguments, a few files at a time.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true })
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => join('dist/test', file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout']
const child = spawn(
  process.execPath,
  ['--test', '--test-concurrency=3', '--test-timeout=300000', ...reporters, ...files],
  { stdio: 'inherit' }
)
child.on('exit', (code) => process.exit(code ?? 1))
