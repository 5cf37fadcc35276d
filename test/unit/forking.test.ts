import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workerSettings } from '../../src/primary/forking.ts'

test('workers take what node was given, and an inspector port that is free', () => {
  assert.deepEqual(workerSettings(['--max-old-space-size=200'], false), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: ['--max-old-space-size=200', '--inspect-port=127.0.0.1:0'],
    inspectPort: 0
  })
})

test('who debugs the primary finds its workers on the ports that node:cluster counts', () => {
  assert.deepEqual(workerSettings(['--inspect=9300'], true), {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: ['--inspect=9300']
  })
})
