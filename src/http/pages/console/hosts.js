// All hosts that share one Redis, as they announce themselves. Read-only.

import { $, element, formatNumber, setText } from './page.js'

const INTERVAL_MS = 5000
const ALONE_INTERVAL_MS = 30_000 // while there is no other host

let nextAt = 0

/** Asks for the hosts, unless that was done just now. Called with each status, so a service that is away is not asked. */
export async function updateHosts(fetchWithToken) {
  if (performance.now() < nextAt) return
  nextAt = performance.now() + INTERVAL_MS
  const response = await fetchWithToken('/status?allHosts=true').catch(() => undefined)
  if (response?.ok) showHosts(await response.json())
  else setText($('hosts-note'), 'Hosts unknown at the moment: this is the last list.')
}

function showHosts({ hosts, hostsKnown, hostsNote = '' }) {
  const isAlone = hosts.length === 1 && hostsKnown
  if (isAlone) nextAt = performance.now() + ALONE_INTERVAL_MS
  $('hosts-panel').hidden = isAlone
  setText($('hosts-note'), hostsNote)
  $('hosts').replaceChildren(
    ...hosts.map((host) => element('li', {}, element('b', { textContent: host.id }), describe(host)))
  )
}

function describe({ release, state, url, workers, waitsFor, ageMs }) {
  const inOrder = [...workers].sort((a, b) => a.slot - b.slot || a.generation - b.generation)
  const parts = [
    waitsFor ? `reload waits: ${waitsFor}` : state,
    `release ${release}`,
    url,
    ...inOrder.map(({ slot, status, inFlight }) => `slot ${slot} ${status}, ${formatNumber(inFlight)} in flight`),
    ageMs > 0 ? `seen ${formatNumber(ageMs / 1000)} s ago` : 'this host'
  ]
  return ` ${parts.join(' · ')}`
}
