// The workers: one card each, with plots of the values that its heartbeats reported.

import { describeWaitsFor } from './lingering.js'
import { $, element, formatBytes, formatCount, formatDuration, formatNumber, setText } from './page.js'

const MAX_SAMPLES = 120 // per plot, one per second
const MIN_SPAN = 30 // samples that a plot has room for from the start
const RATE_SAMPLES = 5 // a rate is taken over this many samples, because heartbeats and status events are not in step
const PLOTS = [
  { field: 'rate', label: 'Requests/s', format: formatNumber },
  { field: 'inFlight', label: 'In flight', format: formatNumber },
  { field: 'loopDelayMs', label: 'Event-loop delay', format: (ms) => `${formatNumber(ms)} ms` },
  { field: 'rssBytes', label: 'Memory', format: formatBytes }
]
const COMMANDS = ['recycle', 'profile', 'heap', 'report']
const SVG = 'http://www.w3.org/2000/svg'

/** The samples of each worker, oldest first. */
const histories = new Map()

const keyOf = ({ slot, pid }) => `${slot}/${pid}`

function addSample(key, { requests, inFlight, loopDelayMs, rssBytes }) {
  const history = histories.get(key) ?? []
  histories.set(key, history)
  const at = performance.now()
  const before = history.at(-RATE_SAMPLES) ?? history[0]
  const rate = before ? Math.max(0, ((requests - before.requests) * 1000) / (at - before.at)) : 0
  history.push({ at, requests, rate, inFlight, loopDelayMs, rssBytes })
  if (history.length > MAX_SAMPLES) history.shift()
  return history
}

/** Requests per second of all workers together. */
export const totalRate = () => [...histories.values()].reduce((total, history) => total + history.at(-1).rate, 0)

function createPlot(label) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', `${label} over the last minutes`)
  svg.append(document.createElementNS(SVG, 'path'))
  return svg
}

function drawPlot(svg, values) {
  const max = Math.max(...values, 1e-9)
  const span = Math.max(MIN_SPAN, values.length)
  const points = values.map((value, i) => `${span - values.length + i} ${(98 - (94 * value) / max).toFixed(1)}`)
  svg.setAttribute('viewBox', `0 0 ${span - 1} 100`)
  svg.firstChild.setAttribute('d', points.length > 1 ? `M${points.join('L')}` : '')
}

/** Creates a card. It is kept between updates, so that its buttons keep the focus. */
function createCard(key, slot, onCommand) {
  const card = element('li', { className: 'panel' })
  card.dataset.key = key
  const plots = PLOTS.map(({ label }) =>
    element('div', {}, element('dt', { textContent: label }), element('dd', {}, element('span'), createPlot(label)))
  )
  card.append(
    element('h3', {}, element('span', { textContent: `Slot ${slot}` }), element('span', { className: 'status' })),
    element('p', { className: 'who' }),
    element('dl', { className: 'plots' }, ...plots),
    element('div', { className: 'actions' }, ...COMMANDS.map((command) => createButton(command, slot, onCommand)))
  )
  return card
}

function createButton(command, slot, onCommand) {
  const label = command[0].toUpperCase() + command.slice(1)
  const button = element('button', { type: 'button', className: 'quiet', textContent: label })
  button.setAttribute('aria-label', `${label} slot ${slot}`)
  button.addEventListener('click', () => onCommand(command, slot, button))
  return button
}

function updateCard(card, key, worker) {
  const { pid, generation, uptimeSeconds, connections, status, waitsFor } = worker
  card.dataset.status = status
  setText(card.querySelector('.status'), waitsFor ? 'lingering' : status)
  const about = [`pid ${pid}`, `generation ${generation}`, `up ${formatDuration(uptimeSeconds)}`]
  about.push(waitsFor ? describeWaitsFor(waitsFor) : formatCount(connections ?? 0, 'connection'))
  setText(card.querySelector('.who'), about.join(' · '))
  if (worker.requests === undefined) return // no heartbeat yet
  const history = addSample(key, worker)
  for (const [i, { field, format }] of PLOTS.entries()) {
    const [text, svg] = card.querySelectorAll('dd')[i].children
    setText(text, format(history.at(-1)[field]))
    drawPlot(
      svg,
      history.map((sample) => sample[field])
    )
  }
}

export function showWorkers(workers, onCommand) {
  const list = $('list')
  const sorted = [...workers].sort((a, b) => a.slot - b.slot || a.generation - b.generation || a.pid - b.pid)
  for (const [index, worker] of sorted.entries()) {
    const key = keyOf(worker)
    const known = [...list.children].find((card) => card.dataset.key === key)
    const card = known ?? createCard(key, worker.slot, onCommand)
    if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null)
    updateCard(card, key, worker)
  }
  while (list.children.length > sorted.length) list.lastElementChild.remove()
  const alive = new Set(sorted.map(keyOf))
  for (const key of histories.keys()) if (!alive.has(key)) histories.delete(key)
}
