// The grid of workers: one cell per process, kept between updates, and an empty cell for every slot without a worker.

import { wholeNumbers } from './plot.js'

const LIT_MS = 1600 // a worker that has served requests is lit for this long
const MANY_CELLS = 16 // above this number the cells are small

function createCell(key) {
  const cell = document.createElement('li')
  cell.dataset.key = key
  cell.append(...['b', 'span', 'span', 'span', 'span'].map((name) => document.createElement(name)))
  return cell
}

/** The light stays on for a while, because heartbeats and snapshots are not in step. */
function isLit(cell, requests, now) {
  const before = Number(cell.dataset.requests)
  if (requests > before) cell.dataset.litUntil = now + LIT_MS
  if (Number.isFinite(requests)) cell.dataset.requests = requests
  return Number(cell.dataset.litUntil ?? 0) > now
}

function textsOf({ slot, status, pid, generation, requests }) {
  if (pid === undefined) return [slot, status, '', '', '']
  const served = Number.isFinite(requests) ? `${wholeNumbers.format(requests)} served` : ''
  return [slot, status, served, `pid ${pid}`, `gen ${generation}`]
}

function updateCell(cell, worker, servedBy, now) {
  const { pid, status, requests } = worker
  const isServing = pid !== undefined && pid === servedBy?.pid
  cell.dataset.status = status
  cell.dataset.pid = pid ?? ''
  cell.toggleAttribute('data-here', isServing)
  cell.title = isServing ? 'This worker sends the numbers that you see' : ''
  cell.toggleAttribute('data-lit', isLit(cell, requests, now))
  for (const [index, text] of textsOf(worker).entries()) cell.children[index].textContent = text
}

function withVacantSlots(workers, desired) {
  const occupied = new Set(workers.map(({ slot }) => slot))
  const slots = Array.from({ length: desired }, (_, slot) => ({ slot, status: 'vacant' }))
  const all = [...workers, ...slots.filter(({ slot }) => !occupied.has(slot))]
  return all.sort((a, b) => a.slot - b.slot || a.generation - b.generation || a.pid - b.pid)
}

/** Shows the workers of a snapshot in a list. */
export function showWorkers(list, { workers, desired, servedBy }) {
  const now = performance.now()
  const entries = withVacantSlots(workers, desired)
  for (const [index, worker] of entries.entries()) {
    const key = `${worker.slot}/${worker.pid}`
    const cell = list.querySelector(`[data-key="${key}"]`) ?? createCell(key)
    if (list.children[index] !== cell) list.insertBefore(cell, list.children[index] ?? null)
    updateCell(cell, worker, servedBy, now)
  }
  while (list.children.length > entries.length) list.lastElementChild.remove()
  list.toggleAttribute('data-many', entries.length > MANY_CELLS)
}
