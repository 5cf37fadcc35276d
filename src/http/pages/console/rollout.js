// The roll of a reload: what becomes of each slot, and of the connections that are open there. Frames are a second
// apart and a roll may be quicker, so the journal tells it.

import { $, count, element, plural, write } from './page.js'

let roll

const begin = (generation) => {
  roll = { generation, slots: new Map(), rolling: true }
}

/** Of the slot that an entry of the journal is about. */
function stageOf({ event, generation, why }) {
  const isNew = generation === roll.generation
  if (event === 'starts') return isNew ? ['moving', 'the new one starts'] : ['moving', 'goes back']
  if (event === 'ready' && isNew) return ['moving', 'the new one serves']
  if (event === 'drains' && !isNew) return ['moving', 'hands its connections over']
  if (event === 'drained') return isNew ? ['failed', `went back: ${why}`] : ['done', why]
  if (event === 'cannot boot' && isNew) return ['failed', why]
}

/** Takes what the journal says of it. */
export function noteRoll(entry) {
  const { event, slot, generation } = entry
  if (event === 'start')
    roll = undefined // another primary: it counts from the beginning
  else if (event === 'reload begins') begin(generation)
  else if (event.startsWith('reload ') && roll) roll.rolling = false
  else if (roll?.rolling && slot !== undefined) {
    const stage = stageOf(entry)
    if (stage) roll.slots.set(slot, stage)
  }
}

export function describe({ outcome, generation, durationMs, why, connections, joined }) {
  const handed = connections
    ? `, ${count(connections.handedOver)} of ${plural(connections.total, 'connection')} handed over`
    : ''
  const shared = joined ? ', begun before' : ''
  return `${outcome}: generation ${generation} in ${count(durationMs / 1000)} s${handed}${shared}${why ? `. ${why}` : ''}`
}

export function showRoll({ state, workers, desired, lastReload }) {
  const newest = Math.max(...workers.map(({ generation }) => generation))
  if (state === 'reloading' && !(roll?.generation >= newest)) begin(newest) // its beginning was not heard
  const rolling = state === 'reloading' || (roll !== undefined && !(lastReload?.generation >= roll.generation))
  const words = rolling ? 'Rolling, slot by slot.' : lastReload ? describe(lastReload) : 'None since the service began.'
  write($('roll'), words)
  if (!roll) return
  const waiting = Array.from({ length: desired }, (_, slot) => [slot, ['waiting', rolling ? 'waits' : 'not reached']])
  const slots = new Map(rolling || lastReload?.outcome !== 'done' ? [...waiting, ...roll.slots] : roll.slots)
  $('slots').replaceChildren(
    ...[...slots].map(([slot, [stage, words]]) => {
      const item = element('li', {}, element('b', { textContent: `Slot ${slot}` }), words)
      item.dataset.stage = stage
      return item
    })
  )
}
