// All hosts that share one Redis, as they announce themselves. Read-only.

import { formatCount, formatDuration, formatNumber } from '../model/units.js'
import { $, element, setText } from '../page.js'
import { fetchWithToken } from '../stream.js'

const INTERVAL_MS = 5000
const ALONE_INTERVAL_MS = 30_000 // while there is no other host

let nextAt = 0
let known = []

/** The hosts as they were last announced; empty while there is one. */
export const otherHosts = () => known

/** Asks for the hosts, unless that was done just now. Called with each status, so a service that is away is not asked. */
export async function updateHosts() {
  if (performance.now() < nextAt) return
  nextAt = performance.now() + INTERVAL_MS
  const response = await fetchWithToken('/status?allHosts=true').catch(() => undefined)
  if (response?.ok) showHosts(await response.json())
  else setText($('hosts-note'), 'Hosts unknown at the moment: this is the last list.')
}

function showHosts({ hosts, hostsKnown, hostsNote = '' }) {
  const isAlone = hosts.length === 1 && hostsKnown
  if (isAlone) nextAt = performance.now() + ALONE_INTERVAL_MS
  known = isAlone ? [] : hosts
  $('hosts-panel').hidden = isAlone
  setText($('hosts-note'), hostsNote)
  $('hosts').replaceChildren(...hosts.map(createRow))
}

function createRow({ id, release, state, url, workers, desired, waitsFor, ageMs, uptimeSeconds }) {
  const inOrder = [...workers].sort((a, b) => a.slot - b.slot || a.generation - b.generation)
  const ready = inOrder.filter(({ status }) => status === 'ready').length
  const pill = element('span', { className: 'pill', textContent: waitsFor ? 'reload waits' : state })
  pill.dataset.level = state === 'running' && ready >= desired ? 'good' : 'warn'
  const cells = inOrder.map(({ slot, status, inFlight }) => {
    const cell = element('span', {
      className: 'cell',
      textContent: `slot ${slot} ${status}, ${formatNumber(inFlight)} in flight`
    })
    cell.dataset.status = status
    return cell
  })
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, id, element('span', { className: 'soft', textContent: url })),
    element('td', {}, pill, ...(waitsFor ? [element('span', { className: 'soft', textContent: waitsFor })] : [])),
    element('td', { textContent: `release ${release}` }),
    element(
      'td',
      {},
      element('span', { textContent: `${ready} of ${formatCount(desired, 'worker')}` }),
      element('div', { className: 'cells' }, ...cells)
    ),
    element('td', { textContent: ageMs > 0 ? `seen ${formatNumber(ageMs / 1000)} s ago` : 'this host' }),
    element('td', { textContent: formatDuration(uptimeSeconds ?? 0) })
  )
}
