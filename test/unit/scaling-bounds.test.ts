import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { boundsOf, type Resources } from '../../src/primary/autoscaling/scaling-bounds.ts'

const MIB = 2 ** 20
const range = { min: 2, max: 8 }
const plenty: Resources = { cpuQuota: undefined, memoryBytes: 100_000 * MIB, workers: [100 * MIB], otherBytes: 0 }

const most = (special: Partial<Resources>, within = range) => {
  const { max, limit } = boundsOf(within, { ...plenty, ...special }, 1000)
  return [max, limit]
}

describe('the largest number of workers of autoscaling', () => {
  test('is the end of the range while there is room', () => {
    assert.deepEqual(boundsOf(range, plenty, 1000), { min: 2, max: 8, limit: 'range', scaleDownMs: 1000 })
  })

  test('is the CPU quota, rounded up to whole cores', () => {
    assert.deepEqual(most({ cpuQuota: 3.5 }), [4, 'cpu'])
    assert.deepEqual(most({ cpuQuota: 64 }), [8, 'range'])
  })

  test('is what fits into nine tenths of the memory, if new workers become as large as the largest', () => {
    const workers = [100 * MIB, 200 * MIB]
    // 900 MiB, of which 300 are used by workers and 100 by others: room for two of 200.
    assert.deepEqual(most({ memoryBytes: 1000 * MIB, workers, otherBytes: 100 * MIB }), [4, 'memory'])
  })

  test('is not below the workers that exist when memory is short', () => {
    assert.deepEqual(most({ memoryBytes: 100 * MIB, workers: [200 * MIB, 200 * MIB, 200 * MIB] }), [3, 'memory'])
  })

  test('is never below the minimum that the operator asked for', () => {
    assert.deepEqual(most({ cpuQuota: 1 }), [2, 'cpu'])
    assert.deepEqual(most({ memoryBytes: MIB }), [2, 'memory'])
  })

  test('is not limited by memory before a worker has reported', () => {
    assert.deepEqual(most({ workers: [], memoryBytes: MIB }), [8, 'range'])
    assert.deepEqual(most({ workers: [0, 0], memoryBytes: MIB, otherBytes: MIB }), [8, 'range'])
  })
})
