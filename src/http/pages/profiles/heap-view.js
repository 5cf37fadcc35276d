// Heap snapshots: the constructors that retain most memory, and what changed since another snapshot.

import { askFile } from './admin-api.js'
import { compareHeaps } from './compare-heaps.js'
import { $, fillTable, formatBytes, formatNumber, formatSigned } from './profiles-dom.js'

const MAX_ROWS = 100
const summaries = new Map() // promises by the name of the file

function summaryOf(name) {
  if (!summaries.has(name)) {
    const summary = summarize(name)
    summary.catch(() => summaries.delete(name))
    summaries.set(name, summary)
  }
  return summaries.get(name)
}

/** Streams the file into a thread that reads it. */
async function summarize(name) {
  const response = await askFile(name)
  const thread = new Worker(document.body.dataset.thread, { type: 'module' })
  try {
    const answer = new Promise((resolve, reject) => {
      thread.addEventListener('message', ({ data }) => {
        if (data.error) reject(new Error(`${name}: ${data.error}`))
        else resolve(data.summary)
      })
      thread.addEventListener('error', () => reject(new Error(`${name}: the thread that reads it failed`)))
    })
    answer.catch(() => {}) // awaited below, after the file was sent
    const pieces = response.body.getReader()
    for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) {
      thread.postMessage(piece.value, [piece.value.buffer])
    }
    thread.postMessage('end')
    return await answer
  } finally {
    thread.terminate()
  }
}

const CONSTRUCTOR = ['Constructor', ({ name }) => name]
const SIZES = [
  ['Retained', ({ retainedBytes }) => formatBytes(retainedBytes), true],
  ['Self', ({ selfBytes }) => formatBytes(selfBytes), true],
  ['Objects', ({ objects }) => formatNumber(objects), true],
  CONSTRUCTOR
]
const CHANGES = [
  [
    'Retained',
    ({ retainedBytes, retainedBytesBefore }) => formatSigned(retainedBytes - retainedBytesBefore, formatBytes),
    true
  ],
  ['Self', ({ selfBytes, selfBytesBefore }) => formatSigned(selfBytes - selfBytesBefore, formatBytes), true],
  ['Objects', ({ objects, objectsBefore }) => formatSigned(objects - objectsBefore, formatNumber), true],
  ['Retained now', ({ retainedBytes }) => formatBytes(retainedBytes), true],
  CONSTRUCTOR
]

const totals = ({ objects, bytes }) => `${formatNumber(objects)} objects, ${formatBytes(bytes)}`

/** @param now name of a file, or undefined @param before the same, to compare with */
export async function showHeap(now, before) {
  $('heap-panel').hidden = now === undefined
  if (now === undefined) return
  $('heap-note').textContent = 'Reading the snapshot …'
  // One after the other: a large heap needs much memory.
  const base = before === undefined ? undefined : await summaryOf(before)
  const summary = await summaryOf(now)
  if (base) {
    const rows = compareHeaps(base, summary)
    const shown = rows.length > MAX_ROWS ? [...rows.slice(0, MAX_ROWS / 2), ...rows.slice(-MAX_ROWS / 2)] : rows
    $('heap-note').textContent = `New: ${totals(summary)}. Base: ${totals(base)}. The most growth is first.`
    fillTable($('constructors'), CHANGES, shown)
  } else {
    $('heap-note').textContent = `${totals(summary)}. Retained: what would be freed with these objects.`
    fillTable($('constructors'), SIZES, summary.constructors.slice(0, MAX_ROWS))
  }
}
