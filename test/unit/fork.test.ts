import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workerSettings } from '../../src/primary/workers/fork.ts'

test('workers get the flags of the primary, a small young generation, no pretenuring, little growth and a free inspector port', () => {
  assert.deepEqual(workerSettings(['--max-old-space-size=200'], false), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: [
      '--max-old-space-size=200',
      '--max-semi-space-size=8',
      '--no-allocation-site-pretenuring',
      '--heap-growing-percent=50',
      '--inspect-port=127.0.0.1:0'
    ],
    inspectPort: 0
  })
})

test('workers of a debugged primary have the inspector ports of node:cluster', () => {
  assert.deepEqual(workerSettings(['--inspect=9300'], true), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: [
      '--inspect=9300',
      '--max-semi-space-size=8',
      '--no-allocation-site-pretenuring',
      '--heap-growing-percent=50'
    ]
  })
})

test('a size of the young generation on the command line or in NODE_OPTIONS is kept', () => {
  const sizes = (given: string[], options: string) =>
    workerSettings(given, false, options).execArgv!.filter((flag) => flag.includes('semi'))
  assert.deepEqual(sizes([], '--max-semi-space-size=16'), [])
  assert.deepEqual(sizes([], '--enable-source-maps --max_semi_space_size 16'), [])
  assert.deepEqual(sizes(['--min-semi-space-size=8'], ''), ['--min-semi-space-size=8'])
  assert.deepEqual(sizes([], '--max-old-space-size=200'), ['--max-semi-space-size=8'])
})

test('a pretenuring flag on the command line is kept', () => {
  const guesses = (given: string[]) =>
    workerSettings(given, false).execArgv!.filter((flag) => flag.includes('pretenuring'))
  assert.deepEqual(guesses([]), ['--no-allocation-site-pretenuring'])
  assert.deepEqual(guesses(['--allocation-site-pretenuring']), ['--allocation-site-pretenuring'])
  assert.deepEqual(guesses(['--no_allocation_site_pretenuring']), ['--no_allocation_site_pretenuring'])
})

test('a growth of the heap on the command line is kept', () => {
  const growth = (given: string[]) => workerSettings(given, false).execArgv!.filter((flag) => flag.includes('growing'))
  assert.deepEqual(growth([]), ['--heap-growing-percent=50'])
  assert.deepEqual(growth(['--heap_growing_percent=0']), ['--heap_growing_percent=0'])
})
