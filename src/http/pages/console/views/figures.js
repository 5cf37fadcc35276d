// The figures of the service, and the load that decides how many workers there are.

import { describeRestarts } from '../model/health.js'
import { formatCount, formatDuration, formatNumber } from '../model/units.js'
import { $, element, setText } from '../page.js'
import { MAX_SECONDS, spanFor, TimePlot } from '../plots.js'

const sum = (workers, field) => workers.reduce((total, worker) => total + (worker[field] ?? 0), 0)

function figuresOf({ workers, generation, restarts, uptimeSeconds, desired }, rate) {
  const ready = new Set(workers.filter(({ status }) => status === 'ready').map(({ slot }) => slot)).size
  const { total, text } = describeRestarts(restarts)
  return [
    ['Workers ready', `${ready} of ${desired}`, ''],
    ['Requests/s', formatNumber(rate), ''],
    ['In flight', formatNumber(sum(workers, 'inFlight')), ''],
    ['Connections', formatNumber(sum(workers, 'connections')), ''],
    ['Generation', formatNumber(generation), ''],
    ['Restarts', formatNumber(total), text],
    ['Uptime', formatDuration(uptimeSeconds), '']
  ]
}

export function showFigures(status, rate) {
  const list = $('figures-list')
  for (const [i, [name, value, note]] of figuresOf(status, rate).entries()) {
    if (!list.children[i]) {
      list.append(
        element('div', {}, element('dt', { textContent: name }), element('dd'), element('dd', { className: 'soft' }))
      )
    }
    const [, first, second] = list.children[i].children
    setText(first, value)
    setText(second, note)
  }
  showAutoscaling(status)
}

const plot = new TimePlot('Load in busy event loops, and workers', ['line', 'wanted'])
let samples = []

/** Plots the load and the number of workers, while a range is configured. */
function showAutoscaling({ autoscaling, desired }) {
  $('autoscaling').hidden = !autoscaling
  if (!autoscaling) return
  if (!plot.root.isConnected) $('autoscaling-plot').append(plot.root)
  const { range, load, limit, last } = autoscaling
  const now = performance.now()
  samples = [...samples, { at: now, load, desired }].filter(({ at }) => now - at <= MAX_SECONDS * 1000)
  const series = ['load', 'desired'].map((field) => samples.map((sample) => ({ at: sample.at, value: sample[field] })))
  const top = Math.max(1, ...samples.map((sample) => Math.ceil(Math.max(sample.load, sample.desired)) + 1))
  plot.draw(series, { now, span: spanFor((now - samples[0].at) / 1000), top, format: formatNumber })
  const parts = [
    range ? `${formatCount(desired, 'worker')} of ${range}` : `${formatCount(desired, 'worker')}, fixed by a command`,
    `load ${formatNumber(load)} of ${formatCount(desired, 'event loop')}`
  ]
  if (limit) parts.push(`limited by ${limit}`)
  setText($('autoscaling-text'), parts.join(' · '))
  setText($('autoscaling-last'), last ? `Last change: ${last.from} → ${last.to}, ${last.why}` : 'No change yet.')
}
