import { describe, test } from 'node:test'
import { countThroughFailovers } from '../helpers/exact-failovers.ts'
import { sizeOf } from '../helpers/sizes.ts'
import '../helpers/uncounted.ts'

const half = Math.ceil(sizeOf('FAILOVERS', 100) / 2)

// Most of the time nothing but the Sentinel works, which waits.
describe('replicas:1', { concurrency: true }, () => {
  for (const replicas of [1, 2]) {
    test(`replicas: ${replicas}: ${half} failovers lose no acknowledged hit and count none twice`, (t) =>
      countThroughFailovers(t, half, replicas))
  }
})
