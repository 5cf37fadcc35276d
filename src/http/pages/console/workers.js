// The workers: a card each, with plots of what it said of itself, second by second.

import { $, count, duration, element, mebibytes, plural, write } from './page.js'

const SAMPLES = 120 // of each plot, one a second
const FEWEST = 30 // samples that a plot has room for from the start
const WINDOW = 5 // samples that a rate is taken over: heartbeats and frames do not keep step
const PLOTS = [
  ['rate', 'Requests/s', count],
  ['inFlight', 'In flight', count],
  ['loopDelayMs', 'Event-loop delay', (ms) => `${count(ms)} ms`],
  ['rssBytes', 'Memory', mebibytes]
]
const ACTIONS = ['recycle', 'profile', 'heap', 'report']
const histories = new Map()

/** Adds a sample to the worker's history. */
function note(key, { requests, inFlight, loopDelayMs, rssBytes }) {
  const history = histories.get(key) ?? []
  histories.set(key, history)
  const at = performance.now()
  const before = history.at(-WINDOW) ?? history[0]
  const rate = before ? Math.max(0, ((requests - before.requests) * 1000) / (at - before.at)) : 0
  history.push({ at, requests, rate, inFlight, loopDelayMs, rssBytes })
  if (history.length > SAMPLES) history.shift()
  return history
}

/** Requests a second, of all of them. */
export const totalRate = () => [...histories.values()].reduce((all, history) => all + history.at(-1).rate, 0)

function plot(label) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', `${label} over the last minutes`)
  svg.append(document.createElementNS(svg.namespaceURI, 'path'))
  return svg
}

function draw(svg, values) {
  const top = Math.max(...values, 1e-9)
  const span = Math.max(FEWEST, values.length)
  const points = values.map((value, i) => `${span - values.length + i} ${(98 - (94 * value) / top).toFixed(1)}`)
  svg.setAttribute('viewBox', `0 0 ${span - 1} 100`)
  svg.firstChild.setAttribute('d', points.length > 1 ? `M${points.join('L')}` : '')
}

/** Kept from frame to frame, so that its buttons keep the focus. */
function card(key, { slot }, onAction) {
  const item = element('li', { className: 'panel' })
  item.dataset.key = key
  const plots = PLOTS.map(([, label]) =>
    element('div', {}, element('dt', { textContent: label }), element('dd', {}, element('span'), plot(label)))
  )
  const actions = ACTIONS.map((command) => {
    const label = command[0].toUpperCase() + command.slice(1)
    const button = element('button', { type: 'button', className: 'quiet', textContent: label })
    button.setAttribute('aria-label', `${label} slot ${slot}`)
    button.addEventListener('click', () => onAction(command, slot, button))
    return button
  })
  item.append(
    element('h3', {}, element('span', { textContent: `Slot ${slot}` }), element('span', { className: 'status' })),
    element('p', { className: 'who' }),
    element('dl', { className: 'plots' }, ...plots),
    element('div', { className: 'actions' }, ...actions)
  )
  return item
}

function fillIn(item, key, worker) {
  const { pid, generation, uptimeSeconds, connections, status } = worker
  item.dataset.status = status
  write(item.querySelector('.status'), status)
  const about = [`pid ${pid}`, `generation ${generation}`, `up ${duration(uptimeSeconds)}`]
  write(item.querySelector('.who'), [...about, plural(connections ?? 0, 'connection')].join(' · '))
  if (worker.requests === undefined) return // it has not said anything yet
  const history = note(key, worker)
  for (const [i, [field, , format]] of PLOTS.entries()) {
    const [text, svg] = item.querySelectorAll('dd')[i].children
    write(text, format(history.at(-1)[field]))
    const values = history.map((sample) => sample[field])
    draw(svg, values)
  }
}

export function showWorkers(workers, onAction) {
  const list = $('list')
  const rows = [...workers].sort((a, b) => a.slot - b.slot || a.generation - b.generation || a.pid - b.pid)
  const keyOf = ({ slot, pid }) => `${slot}/${pid}`
  rows.forEach((worker, index) => {
    const key = keyOf(worker)
    const item = [...list.children].find((one) => one.dataset.key === key) ?? card(key, worker, onAction)
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null)
    fillIn(item, key, worker)
  })
  while (list.children.length > rows.length) list.lastElementChild.remove()
  const alive = new Set(rows.map(keyOf))
  for (const key of histories.keys()) if (!alive.has(key)) histories.delete(key)
}
