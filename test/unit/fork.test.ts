import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workerSettings } from '../../src/primary/workers/fork.ts'

test('workers take what node was given, a small young generation, no guesses, and an inspector port that is free', () => {
  assert.deepEqual(workerSettings(['--max-old-space-size=200'], false), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: [
      '--max-old-space-size=200',
      '--max-semi-space-size=8',
      '--no-allocation-site-pretenuring',
      '--inspect-port=127.0.0.1:0'
    ],
    inspectPort: 0
  })
})

test('who debugs the primary finds its workers on the ports that node:cluster counts', () => {
  assert.deepEqual(workerSettings(['--inspect=9300'], true), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: ['--inspect=9300', '--max-semi-space-size=8', '--no-allocation-site-pretenuring']
  })
})

test('the size of the young generation is that of the command line or of NODE_OPTIONS, where one is named', () => {
  const sizes = (given: string[], options: string) =>
    workerSettings(given, false, options).execArgv!.filter((flag) => flag.includes('semi'))
  assert.deepEqual(sizes([], '--max-semi-space-size=16'), [])
  assert.deepEqual(sizes([], '--enable-source-maps --max_semi_space_size 16'), [])
  assert.deepEqual(sizes(['--min-semi-space-size=8'], ''), ['--min-semi-space-size=8'])
  assert.deepEqual(sizes([], '--max-old-space-size=200'), ['--max-semi-space-size=8'])
})

test('whether V8 guesses what lives long is as the command line says, where it says so', () => {
  const guesses = (given: string[]) =>
    workerSettings(given, false).execArgv!.filter((flag) => flag.includes('pretenuring'))
  assert.deepEqual(guesses([]), ['--no-allocation-site-pretenuring'])
  assert.deepEqual(guesses(['--allocation-site-pretenuring']), ['--allocation-site-pretenuring'])
  assert.deepEqual(guesses(['--no_allocation_site_pretenuring']), ['--no_allocation_site_pretenuring'])
})
