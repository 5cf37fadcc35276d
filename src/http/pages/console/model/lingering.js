// Replaced workers that stay for long requests, and connections that were cut.

import { formatCount, formatDuration } from './units.js'

const NOUNS = { stream: 'event stream', idle: 'idle connection' }
const list = (counts) => counts.map(([kind, count]) => formatCount(count, NOUNS[kind] ?? kind)).join(', ')

/** @returns for example "2 uploads, 1 socket, oldest 3 min" */
export const describeWaitsFor = ({ counts, oldestMs }) =>
  `${list(Object.entries(counts))}, oldest ${formatDuration(Math.round(oldestMs / 1000))}`

/** @returns for example " · 2 workers linger" for the workers of a status; empty when none does */
export function describeLingering(workers) {
  const count = workers.filter(({ waitsFor }) => waitsFor).length
  if (count === 0) return ''
  return count === 1 ? ' · 1 worker lingers' : ` · ${count} workers linger`
}

/** @returns for example ", cut: 2 uploads, 1 socket"; empty without cuts */
export const describeCuts = (cuts = []) =>
  cuts.length === 0 ? '' : `, cut: ${list(cuts.map(({ kind, count }) => [kind, count]))}`
