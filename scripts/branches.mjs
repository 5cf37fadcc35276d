// Fails unless tests reach every branch of the parts that decide: the policy, the connection router, the drain, batchers, leases, and the
// checker of histories. Runs only the tests that these parts need, and prints what they do not reach. Usage: npm run test:branches
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PARTS = [
  'dist/src/primary/policy/**',
  'dist/src/primary/listener/connection-router.js',
  'dist/src/worker/connections/drain.js',
  'dist/src/state/redis/{batcher,multi-key-batcher}.js',
  'dist/src/state/shared/{counter-batches,replayed-batches}.js',
  'dist/src/state/locks/lease*.js',
  'dist/test/history/**'
]
const TESTS = [
  /^unit\/(plan|history-).*\.test\.js$/,
  /^unit\/(reduce|connection-router|drain-stats|drain-ends|batcher|lease)\.test\.js$/,
  /^http\/(lock|lock-queue|once|lease-storage|lease-faults|counter|counted-visits|cluster-batches|replayed-batches)\.test\.js$/
]

const tests = readdirSync(join('dist', 'test'), { recursive: true })
  .filter((name) => TESTS.some((wanted) => wanted.test(name)))
  .map((name) => join('dist', 'test', name))
const folder = mkdtempSync(join(tmpdir(), 'branches-'))
const options = ['--all=false', '--reporter=text', '--branches=100', '--lines=0', '--functions=0']
const folders = ['--temp-directory', folder, '--reports-dir', folder]
const included = PARTS.flatMap((part) => ['--include', part])
const node = ['node', '--test', '--test-concurrency=4', ...tests]
const { status } = spawnSync('npx', ['c8', ...options, ...folders, ...included, ...node], { stdio: 'inherit' })
rmSync(folder, { recursive: true })
process.exit(status ?? 1)
