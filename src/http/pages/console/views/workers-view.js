// The workers: one row each, with plots of what its heartbeats reported. All plots of one kind have the same scale.

import { describeWaitsFor } from '../model/lingering.js'
import { formatBytes, formatCount, formatDuration, formatNumber } from '../model/units.js'
import { keyOf, WorkerSamples } from '../model/worker-samples.js'
import { $, element, setChildren, setText } from '../page.js'
import { MAX_SECONDS, spanFor, TimePlot, topOf } from '../plots.js'

const PLOTS = [
  { field: 'rate', label: 'Requests/s', format: formatNumber },
  { field: 'inFlight', label: 'In flight', format: formatNumber },
  { field: 'loopDelayMs', label: 'Event-loop delay', format: (ms) => `${formatNumber(ms)} ms`, unit: 10 },
  { field: 'rssBytes', label: 'Memory', format: formatBytes, unit: 2 ** 20 }
]
/** The commands of a worker: [command, name of the button, name in a sentence]. */
const COMMANDS = [
  ['recycle', 'Replace', 'Replace the worker of slot'],
  ['profile', 'CPU profile', 'Take a CPU profile of slot'],
  ['heap', 'Heap snapshot', 'Take a heap snapshot of slot'],
  ['report', 'Report', 'Write a report of slot']
]

const samples = new WorkerSamples(MAX_SECONDS)
/** The row of each worker. Rows are kept, so that their buttons keep the focus. */
const rows = new Map()

/** Requests per second of all workers together. */
export const totalRate = () => samples.totalRate

function createRow(worker, onCommand) {
  const { slot } = worker
  const plots = PLOTS.map(({ label }) => new TimePlot(`${label} of slot ${slot}`))
  const values = PLOTS.map(() => element('dd'))
  const status = element('span', { className: 'pill' })
  const about = element('p', { className: 'soft about' })
  const figures = PLOTS.map(({ label }, i) =>
    element('div', {}, element('dt', { textContent: label }), values[i], element('dd', {}, plots[i].root))
  )
  const root = element(
    'li',
    { className: 'worker' },
    element(
      'div',
      { className: 'head' },
      element('h3', {}, element('span', { textContent: `Slot ${slot}` }), status),
      about,
      element('div', { className: 'actions' }, ...COMMANDS.map((command) => createButton(command, slot, onCommand)))
    ),
    element('dl', { className: 'plots' }, ...figures)
  )
  root.dataset.key = keyOf(worker)
  return { root, status, about, plots, values }
}

function createButton([command, label, name], slot, onCommand) {
  const button = element('button', {
    type: 'button',
    className: 'quiet',
    textContent: label,
    ariaLabel: `${name} ${slot}`
  })
  button.addEventListener('click', () => onCommand(command, slot, button))
  return button
}

function updateRow({ root, status, about, plots, values }, worker, axes) {
  const { pid, generation, uptimeSeconds, connections, waitsFor } = worker
  root.dataset.status = worker.status
  setText(status, waitsFor ? 'lingering' : worker.status)
  const parts = [`pid ${pid}`, `generation ${generation}`, `up ${formatDuration(uptimeSeconds)}`]
  parts.push(waitsFor ? describeWaitsFor(waitsFor) : formatCount(connections ?? 0, 'connection'))
  setText(about, parts.join(' · '))
  const history = samples.of(worker)
  for (const [i, { field, format }] of PLOTS.entries()) {
    setText(values[i], format(history.at(-1)?.[field]))
    const points = history.map((sample) => ({ at: sample.at, value: sample[field] }))
    plots[i].draw([points], { ...axes, top: axes.tops[i], format })
  }
}

export function showWorkers(workers, onCommand) {
  const now = performance.now()
  samples.add(workers, now)
  const tops = PLOTS.map(({ field, unit }) => topOf(samples.valuesOf(field), unit))
  const axes = { now, span: spanFor(samples.ageAt(now)), tops }
  const sorted = [...workers].sort((a, b) => a.slot - b.slot || a.generation - b.generation || a.pid - b.pid)
  const keys = sorted.map(keyOf)
  for (const key of rows.keys()) if (!keys.includes(key)) rows.delete(key)
  for (const worker of sorted) {
    const key = keyOf(worker)
    if (!rows.has(key)) rows.set(key, createRow(worker, onCommand))
    updateRow(rows.get(key), worker, axes)
  }
  setChildren(
    $('list'),
    keys.map((key) => rows.get(key).root)
  )
}
