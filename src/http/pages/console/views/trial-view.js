// The trial of a new release: its canary against the control, measure by measure.

import { formatCount, formatNumber } from '../model/units.js'
import { $, element, setText, shape } from '../page.js'

const LABELS = {
  errors: 'Connections with errors',
  'slow-p50': 'Requests above the p50',
  'slow-p95': 'Requests above the p95',
  'slow-p99': 'Requests above the p99',
  'event-loop': 'Event-loop stalls',
  cpu: 'CPU per request',
  memory: 'Memory growth'
}
/** The factor and the unit in which people read a difference. */
const SCALES = {
  'share of connections': [100, '%'],
  'share of requests': [100, '%'],
  relative: [100, '%'],
  'ms per s': [1, 'ms/s'],
  'bytes per s': [1 / 1024, 'KiB/s']
}
/** A plot is 200 units wide. The limit of the measure is a quarter right of its middle. */
const MIDDLE = 100
const LIMIT = 50

const signed = (value) => `${value > 0 ? '+' : ''}${formatNumber(value)}`

function describeDifference({ estimate, interval, unit, reason }) {
  if (estimate === undefined || !interval) return reason ?? 'not known yet'
  const [factor, name] = SCALES[unit]
  return `${signed(estimate * factor)} ${name}, between ${signed(interval[0] * factor)} and ${signed(interval[1] * factor)}`
}

/** Plots the interval of the difference: the canary is worse when all of it is right of the limit. */
function plot(measure, text) {
  const { estimate, interval, limit } = measure
  const svg = shape('svg', { viewBox: '0 0 200 12', role: 'img', 'aria-label': text })
  const scale = LIMIT / (limit || Math.abs(interval?.[1]) || 1)
  const at = (value) => Math.min(198, Math.max(2, MIDDLE + value * scale))
  svg.append(
    shape('path', { d: `M${MIDDLE} 0V12`, class: 'zero' }),
    shape('path', { d: `M${MIDDLE + LIMIT} 0V12`, class: 'limit' })
  )
  if (!interval) return svg
  const [from, to] = interval.map(at)
  svg.append(shape('path', { d: `M${from} 6H${Math.max(to, from + 1)}`, class: 'interval' }))
  if (estimate !== undefined) svg.append(shape('circle', { cx: at(estimate), cy: 6, r: 3 }))
  return svg
}

function row(measure) {
  const text = describeDifference(measure)
  const created = element(
    'tr',
    {},
    element('th', { scope: 'row', textContent: LABELS[measure.name] ?? measure.name }),
    element('td', {}, plot(measure, text)),
    element('td', { textContent: text }),
    element('td', { textContent: measure.verdict })
  )
  created.dataset.verdict = measure.verdict
  return created
}

const describeSide = (name, { requests, connections, errors }) =>
  `${name}: ${formatCount(requests, 'request')} on ${formatCount(connections, 'connection')}, ${formatCount(errors, 'error')}`

function describe({ state, seconds, maxSeconds, share, canary, control }) {
  const stage = {
    starting: 'The worker to compare with is starting.',
    running: `Judged for ${formatNumber(seconds)} of ${formatNumber(maxSeconds)} s.`,
    held: 'Undecided: an operator must promote it or roll it back.'
  }[state]
  const sides = [describeSide('Canary', canary), ...(control ? [describeSide('control', control)] : [])]
  return `${stage} ${formatNumber(share * 100)} % of new connections each. ${sides.join('; ')}.`
}

export function showTrial({ trial }) {
  const isShown = trial?.state === 'starting' || trial?.state === 'running' || trial?.state === 'held'
  $('trial').hidden = !isShown
  if (!isShown) return
  setText($('trial-text'), describe(trial))
  $('measures').replaceChildren(...trial.measures.map(row))
}
