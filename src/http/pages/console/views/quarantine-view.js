// Routes that are refused because they end workers, and those under suspicion.

import { formatCount, formatPercent } from '../model/units.js'
import { $, element, setChildren, setText } from '../page.js'
import { command } from '../stream.js'

const INTERVAL_MS = 5000
const STATES = {
  quarantined: 'refused with 503',
  'half-open': 'the next request is a trial',
  probing: 'one request is on trial'
}

let nextAt = 0
let suspects = []
const items = new Map()

function createItem(route, onLift) {
  const text = element('span')
  const button = element('button', {
    type: 'button',
    className: 'quiet',
    textContent: 'Lift',
    ariaLabel: `Lift the quarantine of ${route}`
  })
  button.addEventListener('click', () => onLift(route, button))
  return { root: element('li', {}, element('b', { textContent: route }), text, button), text }
}

function describe({ state, why, retrySeconds, by }) {
  const retry = retrySeconds === null ? 'until it is lifted' : `next trial in ${retrySeconds} s`
  return ` ${STATES[state] ?? state}, ${retry} · ${by === 'operator' ? 'added by an operator' : why}`
}

const describeSuspect = ({ route, deaths, usualShare }) =>
  `${route}: in flight at ${formatCount(deaths, 'death')} of workers, and ${formatPercent(usualShare)} of the time otherwise`

/** Shows what a status says. Suspects are asked for every few seconds. */
export function showQuarantine({ quarantine = [] }, onLift) {
  for (const { route } of quarantine) if (!items.has(route)) items.set(route, createItem(route, onLift))
  for (const entry of quarantine) setText(items.get(entry.route).text, describe(entry))
  const nodes = quarantine.map(({ route }) => items.get(route).root)
  setChildren($('quarantined'), nodes)
  setText($('quarantine-note'), nodes.length === 0 ? 'No route is quarantined.' : '')
  void refreshSuspects()
}

async function refreshSuspects() {
  if (performance.now() < nextAt) return
  nextAt = performance.now() + INTERVAL_MS
  suspects = await command('quarantine-list').then(
    ({ result }) => result.suspects,
    () => suspects
  )
  $('suspects-title').hidden = suspects.length === 0
  $('suspects').replaceChildren(...suspects.map((one) => element('li', { textContent: describeSuspect(one) })))
}
