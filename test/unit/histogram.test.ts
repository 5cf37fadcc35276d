import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram, Registry } from 'prom-client'
import { CachedHistogram } from '../../src/http/plugins/metrics/cached-histogram.ts'
import { readRegistry } from '../../src/http/plugins/metrics/metric-registry.ts'

const SETTINGS = { name: 'seconds', help: 'How long.', labelNames: ['route', 'status'], buckets: [0.1, 0.5, 2] }
const OBSERVED: [route: string, status: string, value: number][] = [
  ['/', '200', 0.1],
  ['/', '200', 0.100001],
  ['/', '500', 0],
  ['/a"b', '200', 2],
  ['/a"b', '200', 3],
  ['/', '200', 0.5]
]

test('says what a histogram of prom-client says, to our page and to a registry asked for its own', async () => {
  const kept = new Registry()
  const reference = new Registry()
  const ours = new CachedHistogram({ ...SETTINGS, registers: [kept] })
  const theirs = new Histogram({ ...SETTINGS, registers: [reference] })
  for (const [route, status, value] of OBSERVED) {
    ours.labels(route, status).observe(value)
    theirs.labels(route, status).observe(value)
  }
  ours.labels('/quiet', '200')
  theirs.zero({ route: '/quiet', status: '200' })
  assert.deepEqual(await readRegistry(kept), await readRegistry(reference))
  assert.equal(await kept.metrics(), await reference.metrics())
})

test('without labels it is there from the start', async () => {
  const registry = new Registry()
  const sizes = new CachedHistogram({
    name: 'sizes',
    help: 'How many.',
    buckets: [1, 5],
    registers: [registry]
  }).labels()
  const series = async () => (await readRegistry(registry)).counters[0]?.series
  assert.deepEqual(await series(), [['', [0, 0, 0, 0]]])
  sizes.observe(4)
  sizes.observe(9)
  assert.deepEqual(await series(), [['', [0, 1, 2, 13]]])
})
