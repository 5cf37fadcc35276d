import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lease, type LeaseCommands } from '../../src/state/locks/lease.ts'
import type { LeaseWrite } from '../../src/state/locks/lease-writes.ts'
import { until } from '../helpers/until.ts'

const written: LeaseWrite = { soon: Promise.resolve(), settled: Promise.resolve() }

/** A lease whose renewals the test answers. */
function granted(ttlMs: number) {
  const renewals: { resolve(renewed: number): void; reject(error: Error): void }[] = []
  const ends: string[] = []
  const end = (how: string): LeaseWrite => {
    ends.push(how)
    return written
  }
  const commands: LeaseCommands = {
    ttlMs,
    renew: () => new Promise((resolve, reject) => renewals.push({ resolve, reject })),
    release: () => end('release'),
    markDone: () => end('done')
  }
  const lease = new Lease(commands, { fence: 1, period: -1, askedAt: performance.now() })
  const renewal = async () => {
    await until(() => renewals.length > 0, 'a renewal')
    return renewals.shift()!
  }
  return { lease, renewal, renewals, ends }
}

const LONG_MS = 3000
/** The first renewal follows a third of this later. */
const SHORT_MS = 300

test('a renewal that Redis does not answer is tried again, and one that it refuses ends the lease', async () => {
  const { lease, renewal, ends } = granted(LONG_MS)
  const first = await renewal()
  first.reject(new Error('no answer'))
  const second = await renewal()
  second.resolve(1)
  const third = await renewal()
  assert.equal(lease.isLost, false)
  third.resolve(0)
  await until(() => lease.isLost, 'the loss')
  assert.equal(lease.grant.signal.aborted, true)
  assert.deepEqual(ends, ['release'])
})

for (const outcome of ['succeeds', 'fails'] as const)
  test(`a lease that has ended does not come back when a renewal on its way ${outcome}`, async () => {
    const { lease, renewal, renewals, ends } = granted(LONG_MS)
    const late = await renewal()
    lease.markDone(LONG_MS)
    if (outcome === 'succeeds') late.resolve(1)
    else late.reject(new Error('no answer'))
    await lease.release()
    assert.deepEqual([ends, renewals.length, lease.isLost], [['done'], 0, false])
  })

test('a lease that is not renewed in time is lost before it ends in Redis', async () => {
  const { lease, ends } = granted(SHORT_MS)
  await until(() => lease.isLost, 'the loss')
  assert.deepEqual(ends, ['release'])
})
