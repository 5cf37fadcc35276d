import { createReadStream } from 'node:fs'
import { formatBytes, formatCount } from '../../common/text/units.ts'
import { type ConstructorChange, compareHeaps } from '../../profiling/compare-heaps.ts'
import { HeapReader } from '../../profiling/heap-reader.ts'
import { type ConstructorSize, type HeapSummary, summarizeHeap } from '../../profiling/heap-summary.ts'
import { type Column, table } from '../output/table.ts'
import { type Analysis, MAX_ROWS } from './analysis.ts'

export const heapTop: Analysis = {
  usage: 'heap top FILE',
  summary: 'lists the constructors whose objects retain most memory in a .heapsnapshot file',
  example: 'muster heap top heap-0-4242-20260131T120000000Z.heapsnapshot',
  async run([files = []]) {
    const summary = await readHeap(files)
    return {
      result: summary,
      text: (screen) => `${totals(summary)}.\n${table(summary.constructors.slice(0, MAX_ROWS), SIZES, screen)}`
    }
  }
}

export const heapCompare: Analysis = {
  usage: 'heap compare A B',
  summary: 'lists the constructors whose objects retain more or less memory in B than in A',
  example: 'muster heap compare before.heapsnapshot after.heapsnapshot',
  async run([before = [], now = []]) {
    // One after the other: a graph of a large heap needs much memory.
    const old = await readHeap(before)
    const current = await readHeap(now)
    const constructors = compareHeaps(old, current)
    const half = MAX_ROWS / 2
    const shown =
      constructors.length <= MAX_ROWS ? constructors : [...constructors.slice(0, half), ...constructors.slice(-half)]
    const { objects, bytes } = current
    return {
      result: { objectsBefore: old.objects, bytesBefore: old.bytes, objects, bytes, constructors },
      text: (screen) => `A: ${totals(old)}. B: ${totals(current)}.\n${table(shown, CHANGES, screen)}`
    }
  }
}

async function readHeap([file = '', ...others]: readonly string[]): Promise<HeapSummary> {
  if (others.length > 0) throw new Error('heap snapshots cannot be merged: name one file')
  try {
    const reader = new HeapReader()
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) reader.write(chunk as Uint8Array)
    return summarizeHeap(reader.end())
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
}

const totals = ({ objects, bytes }: HeapSummary) => `${formatCount(objects)} objects, ${formatBytes(bytes)}`

const SIZES: Column<ConstructorSize>[] = [
  { title: 'retained', show: ({ retainedBytes }) => formatBytes(retainedBytes), isQuantity: true },
  { title: 'self', show: ({ selfBytes }) => formatBytes(selfBytes), isQuantity: true },
  { title: 'objects', show: ({ objects }) => formatCount(objects), isQuantity: true },
  { title: 'constructor', show: ({ name }) => name }
]

const signed = (value: number, format: (value: number) => string) =>
  value === 0 ? format(0) : `${value > 0 ? '+' : '-'}${format(Math.abs(value))}`

const CHANGES: Column<ConstructorChange>[] = [
  {
    title: 'retained',
    show: (row) => signed(row.retainedBytes - row.retainedBytesBefore, formatBytes),
    isQuantity: true
  },
  { title: 'self', show: (row) => signed(row.selfBytes - row.selfBytesBefore, formatBytes), isQuantity: true },
  { title: 'objects', show: (row) => signed(row.objects - row.objectsBefore, formatCount), isQuantity: true },
  { title: 'retained in B', show: ({ retainedBytes }) => formatBytes(retainedBytes), isQuantity: true },
  { title: 'constructor', show: ({ name }) => name }
]
