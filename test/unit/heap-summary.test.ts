import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getHeapSnapshot } from 'node:v8'
import { compareHeaps } from '../../src/profiling/compare-heaps.ts'
import { findDominators } from '../../src/profiling/dominators.ts'
import { HeapReader } from '../../src/profiling/heap-reader.ts'
import { type HeapSummary, summarizeHeap } from '../../src/profiling/heap-summary.ts'
import { Random } from '../helpers/random.ts'
import { type HeapObject, heapSnapshotOf } from '../helpers/synthetic-heap.ts'

/** Reads a snapshot in pieces of a size. */
function read(text: string, size = 1000) {
  const bytes = new TextEncoder().encode(text)
  const reader = new HeapReader()
  for (let at = 0; at < bytes.length; at += size) reader.write(bytes.subarray(at, at + size))
  return reader.end()
}

const sizesOf = ({ constructors }: HeapSummary) =>
  Object.fromEntries(
    constructors.map(({ name, objects, selfBytes, retainedBytes }) => [name, [objects, selfBytes, retainedBytes]])
  )

test('an object retains what only it keeps alive; weak references keep nothing', () => {
  const objects: HeapObject[] = [
    { type: 'synthetic', bytes: 0, to: [1, 2, { to: 6, type: 'weak' }] },
    { name: 'Cache', bytes: 10, to: [3, 5] },
    { name: 'Server', bytes: 20, to: [5] },
    { name: 'Entry', bytes: 30, to: [4] },
    { type: 'string', name: 'text', bytes: 40, to: [] },
    { name: 'Shared', bytes: 50, to: [] },
    { name: 'Garbage', bytes: 1000, to: [] }
  ]
  const summary = summarizeHeap(read(heapSnapshotOf(objects)))
  assert.deepEqual(sizesOf(summary), {
    Cache: [1, 10, 80],
    Entry: [1, 30, 70],
    Shared: [1, 50, 50],
    '(string)': [1, 40, 40],
    Server: [1, 20, 20]
  })
  assert.deepEqual([summary.objects, summary.bytes], [5, 150])
})

test('objects of one constructor inside each other are not counted twice', () => {
  const list: HeapObject[] = [
    { type: 'synthetic', bytes: 0, to: [1] },
    { name: 'Node', bytes: 10, to: [2] },
    { name: 'Node', bytes: 10, to: [3, 4] },
    { name: 'Node', bytes: 10, to: [] },
    { name: 'Leaf', bytes: 5, to: [] }
  ]
  assert.deepEqual(sizesOf(summarizeHeap(read(heapSnapshotOf(list)))), { Node: [3, 30, 35], Leaf: [1, 5, 5] })
})

test('dominators are those of the definition, in 300 random heaps', () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed)
    const count = random.between(2, 25)
    const objects = Array.from({ length: count }, (): HeapObject => {
      const to = Array.from({ length: random.between(0, 3) }, () => random.between(0, count - 1))
      return { name: 'x', bytes: 1, to }
    })
    const { nodes, dominator } = findDominators(read(heapSnapshotOf(objects)))
    const reach = (without: number) => {
      const found = new Set<number>(without === 0 ? [] : [0])
      for (const node of found) for (const to of objects[node]!.to as number[]) if (to !== without) found.add(to)
      return found
    }
    const reachable = reach(-1)
    assert.deepEqual(new Set(nodes), reachable)
    const dominates = (a: number, b: number) => a === b || !reach(a).has(b)
    for (const [i, node] of nodes.entries()) {
      if (node === 0) continue
      const strict = [...reachable].filter((other) => other !== node && dominates(other, node))
      const nearest = strict.find((candidate) => strict.every((other) => dominates(other, candidate)))
      assert.equal(nodes[dominator[i]!], nearest, `seed ${seed}, node ${node}`)
    }
  }
})

test('a path of 300,000 objects needs no recursion', () => {
  const count = 300_000
  const objects = Array.from(
    { length: count },
    (_, i): HeapObject => ({ name: 'Link', bytes: 1, to: [(i + 1) % count] })
  )
  assert.deepEqual(sizesOf(summarizeHeap(read(heapSnapshotOf(objects), 65_536))), { Link: [count, count, count] })
})

test('pieces may end anywhere, and names may have any characters', () => {
  const objects: HeapObject[] = [
    { type: 'synthetic', bytes: 0, to: [1, 2, 3] },
    { name: 'Bücher "und"\n\\', bytes: 1, to: [] },
    { name: '"strings":[', bytes: 2, to: [] },
    { name: `Long${'g'.repeat(500)}`, bytes: 3, to: [] }
  ]
  const text = heapSnapshotOf(objects)
  const expected = sizesOf(summarizeHeap(read(text)))
  assert.deepEqual(expected['Bücher "und"\n\\'], [1, 1, 1])
  assert.ok(Object.keys(expected).some((name) => /^Longg+…$/.test(name)))
  for (const size of [1, 2, 3, 7, 64]) assert.deepEqual(sizesOf(summarizeHeap(read(text, size))), expected)
})

test('what is incomplete, damaged or no snapshot is refused', () => {
  const text = heapSnapshotOf([{ bytes: 1, to: [0] }])
  assert.throws(() => read(text.slice(0, -5)), /is incomplete: take it again/)
  assert.throws(() => read(text.replace('"nodes":[', '"nodes":[1,')), /is damaged: nodes has/)
  assert.throws(() => read('{"nodes":[1],"samples":[]}'), /^Error: not a heap snapshot/)
  assert.throws(() => read('x'.repeat(100_000)), /^Error: not a heap snapshot/)
})

test('a comparison puts the constructor first that grew most', () => {
  const heap = (entries: number) =>
    summarizeHeap(
      read(
        heapSnapshotOf([
          { type: 'synthetic', bytes: 0, to: Array.from({ length: entries + 1 }, (_, i) => i + 1) },
          { name: 'Server', bytes: 500, to: [] },
          ...Array.from({ length: entries }, (): HeapObject => ({ name: 'Entry', bytes: 10, to: [] }))
        ])
      )
    )
  const [first, second] = compareHeaps(heap(2), heap(9))
  assert.deepEqual(first, {
    name: 'Entry',
    objectsBefore: 2,
    objects: 9,
    selfBytesBefore: 20,
    selfBytes: 90,
    retainedBytesBefore: 20,
    retainedBytes: 90
  })
  assert.equal(second?.retainedBytes, second?.retainedBytesBefore)
  assert.equal(compareHeaps(heap(9), heap(2)).at(-1)?.name, 'Entry')
})

test("V8's own snapshot: a class is found with all that it retains", async () => {
  class Hoard {
    readonly kept = Array.from({ length: 1000 }, (_, i) => ({ text: `${i} `.repeat(5) }))
  }
  const hoards = Array.from({ length: 20 }, () => new Hoard())
  const reader = new HeapReader()
  for await (const chunk of getHeapSnapshot()) reader.write(chunk as Buffer)
  const { constructors, bytes, objects } = summarizeHeap(reader.end())
  const found = constructors.find(({ name }) => name === 'Hoard')
  assert.equal(found?.objects, hoards.length)
  // 20,000 objects with a text each take at least 30 bytes apiece.
  assert.ok(found.retainedBytes > 600_000, String(found.retainedBytes))
  assert.ok(bytes > found.retainedBytes && objects > 20_000)
})
