import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLoopBusy } from '../../src/state/redis/loop-load.ts'

test('an event loop is busy while it works all the time, and not while it waits', async () => {
  const readAfter = async (ms: number) => {
    await sleep(ms)
    return isLoopBusy()
  }
  while (await readAfter(120)) {}
  const end = performance.now() + 1000
  while (performance.now() < end) {}
  assert.equal(isLoopBusy(), true)
  while (await readAfter(120)) {}
})
