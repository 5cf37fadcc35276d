// The rollout: what happens to each slot and its open connections. The status comes once a second and a rollout may be
// faster, so the stages come from the journal.

import { describeCuts, describeLingering } from './lingering.js'
import { $, element, formatCount, formatNumber, setText } from './page.js'

/** The last rollout: its generation, whether it is running, and the stage of each slot: [stage, text]. */
let rollout

const start = (generation) => {
  rollout = { generation, slots: new Map(), running: true }
}

/** @returns the stage of a slot after an entry of the journal; undefined when the entry does not change it */
function stageAfter({ event, generation, why }) {
  const isNew = generation === rollout.generation
  if (event === 'starts') return ['moving', isNew ? 'new worker starting' : 'rolling back']
  if (event === 'ready' && isNew) return ['moving', 'new worker ready']
  if (event === 'drains' && !isNew) return ['moving', 'old worker draining']
  if (event === 'drained') return isNew ? ['failed', `rolled back: ${why}`] : ['done', why]
  if (event === 'lingers' && !isNew) return ['done', `lingers: ${why}`]
  if (event === 'cannot boot' && isNew) return ['failed', why]
}

export function applyJournalEntry(entry) {
  const { event, slot, generation } = entry
  if (event === 'start') {
    rollout = undefined // a new primary, whose generations start again
  } else if (event === 'reload begins') {
    start(generation)
  } else if (/^reload (done|failed|stopped)$/.test(event) && rollout) {
    rollout.running = false
  } else if (rollout?.running && slot !== undefined) {
    const stage = stageAfter(entry)
    if (stage) rollout.slots.set(slot, stage)
  }
}

export function describeReload({ outcome, generation, durationMs, why, connections, cuts, joined }) {
  const parts = [`${outcome}: generation ${generation} in ${formatNumber(durationMs / 1000)} s`]
  if (connections) {
    parts.push(`${formatNumber(connections.handedOver)} of ${formatCount(connections.total, 'connection')} transferred`)
  }
  if (joined) parts.push('was already running')
  return parts.join(', ') + describeCuts(cuts) + (why ? `. ${why}` : '')
}

function summary(isRolling, lastReload, waits) {
  if (waits) return `Waits for its turn: ${waits.why}`
  if (isRolling) return 'Rolling, slot by slot.'
  return lastReload ? describeReload(lastReload) : 'No reload since the service started.'
}

export function showRollout({ state, workers, desired, lastReload, rolloutWaits }) {
  const newest = Math.max(...workers.map(({ generation }) => generation))
  const hasMissedStart = state === 'reloading' && !(rollout?.generation >= newest)
  if (hasMissedStart) start(newest)
  const wasRefused = lastReload?.outcome === 'refused' // with the generation that serves
  const isUnfinished = rollout !== undefined && !wasRefused && !(lastReload?.generation >= rollout.generation)
  const isRolling = state === 'reloading' || state === 'upgrading' || isUnfinished
  setText($('rollout'), summary(isRolling, lastReload, rolloutWaits) + describeLingering(workers))
  if (!rollout) return
  const showsAllSlots = isRolling || lastReload?.outcome !== 'done'
  const untouched = Array.from({ length: showsAllSlots ? desired : 0 }, (_, slot) => [
    slot,
    ['waiting', isRolling ? 'waiting' : 'not reached']
  ])
  const items = [...new Map([...untouched, ...rollout.slots])].map(([slot, [stage, text]]) => {
    const item = element('li', {}, element('b', { textContent: `Slot ${slot}` }), text)
    item.dataset.stage = stage
    return item
  })
  $('slots').replaceChildren(...items)
}
