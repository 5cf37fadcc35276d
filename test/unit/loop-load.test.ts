import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLoadMeter, demandOf, isLoopBusy } from '../../src/state/redis/loop-load.ts'

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

test('an event loop is busy when it needs a CPU for more than 70 % of the time', (t) => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  let demandMs = 5000
  const isBusy = createLoadMeter(() => demandMs)
  const after = (ms: number, demand: number) => {
    now += ms
    demandMs += demand
    return isBusy()
  }
  assert.equal(after(100, 69), false)
  assert.equal(after(200, 142), true)
  assert.equal(after(50, 0), true, 'measured again within 100 ms')
  assert.equal(after(50, 60), false, 'a window begins where the last one ended')
})

test('the wait for a CPU counts, which Node takes for idle time', () => {
  assert.equal(demandOf('300000000 200000000 17\n'), 500)
  assert.equal(demandOf('0 0 0\n'), undefined, 'the kernel keeps no account')
})
