// Reloads and upgrades as timelines: one lane for each slot, the new worker above the old one.

import { describeCuts, describeLingering } from '../model/lingering.js'
import { describeLane, Rollouts, spanOf } from '../model/rollouts.js'
import { formatCount, formatMs, formatNumber } from '../model/units.js'
import { describePrimary, describeUpgrade } from '../model/upgrades.js'
import { $, element, formatDay, formatTime, reasonNodes, setChildren, setText, shape } from '../page.js'

const WIDTH = 1000
const STATUS_DELAY_MS = 3000
const ROWS = [
  { y: 4, height: 40 },
  { y: 56, height: 40 }
]
const STAGES = {
  starting: 'new worker starts',
  serving: 'new worker serves',
  trial: 'canary on trial',
  draining: 'old worker drains',
  lingering: 'old worker lingers',
  back: 'rolled back'
}

let rollouts = new Rollouts()
/** Folded timelines that an operator has opened, by their start. */
const opened = new Set()

/** Takes an entry of the journal that is newer than all before it. */
export const applyToRollouts = (entry) => rollouts.apply(entry)

/** Starts again with these entries, the oldest first. */
export function replaceRollouts(entries) {
  rollouts = new Rollouts()
  for (const entry of entries) rollouts.apply(entry)
}

export function describeReload({ outcome, generation, durationMs, why, connections, cuts, joined }) {
  const parts = [`${outcome}: generation ${generation} in ${formatMs(durationMs)}`]
  if (connections) {
    parts.push(`${formatNumber(connections.handedOver)} of ${formatCount(connections.total, 'connection')} transferred`)
  }
  if (joined) parts.push('was already running')
  return parts.join(', ') + describeCuts(cuts) + (why ? `. ${why}` : '')
}

/** The status comes once a second, and the journal at once: a reload may have begun, or its outcome is still to come. */
function isUnderWay({ state, lastReload }, newest, now) {
  if (state === 'reloading') return true
  if (newest?.kind !== 'reload') return false
  if (newest.endedAt === undefined) return true
  return now - newest.endedAt < STATUS_DELAY_MS && !(lastReload?.generation >= newest.generation)
}

function summary(status, newest) {
  const { state, lastReload, rolloutWaits, upgrade, desired } = status
  if (rolloutWaits) return `Waits for its turn: ${rolloutWaits.why}`
  if (upgrade) return describeUpgrade(upgrade, desired)
  if (state === 'upgrading') return 'Upgrading: a new primary takes over, slot by slot.'
  if (isUnderWay(status, newest, Date.now())) return 'Reloading, slot by slot.'
  if (newest?.kind === 'upgrade' && newest.outcome === 'failed') {
    return `The upgrade failed, and the old primary serves on: ${newest.why?.split('\n')[0] ?? 'no reason is known'}`
  }
  if (!lastReload) return 'No reload since the service started.'
  return describeReload({ ...lastReload, why: lastReload.why?.split('\n')[0] })
}

function bar({ row, stage, from, to }, scale) {
  const start = scale(from)
  const { y, height } = ROWS[row]
  return shape('rect', { class: stage, x: start, y, width: Math.max(3, scale(to) - start), height })
}

function lane(slot, { bars, failed, ...rest }, { rollout, scale }) {
  const text = describeLane(rest)
  const stages = bars.map(
    ({ stage, from, to }) => `${STAGES[stage]} at ${formatMs(from - rollout.startedAt)}${to ? '' : ', still'}`
  )
  const svg = shape('svg', { viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: 'none', role: 'img' })
  svg.setAttribute('aria-label', `Slot ${slot}: ${stages.join('; ') || 'not touched'}`)
  svg.append(shape('path', { class: 'grid', d: [0, 250, 500, 750, 1000].map((x) => `M${x} 0V100`).join('') }))
  svg.append(...bars.map((one) => bar(one, scale)))
  const { trial } = rollout
  const canary = bars.find(({ stage }) => stage === 'serving')
  if (trial && slot === rollout.canarySlot && canary) {
    svg.append(bar({ row: 0, stage: 'trial', from: trial.from, to: trial.to }, scale))
  }
  const label = element('b', { textContent: `Slot ${slot}` })
  const item = element('li', {}, label, svg, element('span', { className: 'soft', textContent: text }))
  item.dataset.failed = failed
  return item
}

const OUTCOMES = { done: 'good', failed: 'bad', stopped: 'warn', held: 'warn', 'is rolled back': 'bad' }

function heading(rollout) {
  const { kind, generation, startedAt, endedAt, why } = rollout
  const outcome = rollout.outcome ?? (why === undefined ? 'under way' : 'is rolled back')
  const at = new Date(startedAt)
  const name = kind === 'reload' ? `Reload to generation ${generation}` : 'Upgrade'
  const pill = element('span', { className: 'pill', textContent: outcome })
  pill.dataset.level = OUTCOMES[outcome] ?? 'busy'
  const when = element('span', {
    className: 'soft',
    title: formatDay(at),
    textContent: `${formatTime(at)}${endedAt ? `, took ${formatMs(endedAt - startedAt)}` : ''}`
  })
  return [element('b', { textContent: name }), pill, when]
}

function facts({ kind, from, to, primary, trial, why }) {
  const lines = []
  const name = kind === 'upgrade' ? describePrimary(primary) : ''
  if (name) lines.push(element('p', { textContent: `New primary: ${name}` }))
  if (from && to && from !== to) lines.push(element('p', { textContent: `Release ${from} → ${to}` }))
  if (trial?.text) lines.push(element('p', { textContent: `Verdict on the canary: ${trial.text}` }))
  if (why) lines.push(element('p', { className: 'refused' }, ...reasonNodes(why)))
  return lines
}

function timeline(rollout, now) {
  const span = spanOf(rollout, now)
  const scale = (at = now) => Math.min(WIDTH, Math.max(0, ((at - rollout.startedAt) / span) * WIDTH))
  const lanes = [...rollout.slots].sort(([a], [b]) => a - b)
  rollout.canarySlot ??= lanes.find(([, { bars }]) => bars.some(({ row }) => row === 0))?.[0]
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => element('span', { textContent: formatMs(span * part) }))
  return element(
    'div',
    { className: 'timeline' },
    ...facts(rollout),
    element('ol', { className: 'lanes' }, ...lanes.map(([slot, one]) => lane(slot, one, { rollout, scale }))),
    element('p', { className: 'axis', ariaHidden: 'true' }, ...ticks)
  )
}

function older(rollout, now) {
  const details = element(
    'details',
    { open: opened.has(rollout.startedAt) },
    element('summary', {}, ...heading(rollout))
  )
  if (details.open) details.append(timeline(rollout, now))
  details.addEventListener('toggle', () => {
    if (details.open) opened.add(rollout.startedAt)
    else opened.delete(rollout.startedAt)
    if (details.open && details.children.length === 1) details.append(timeline(rollout, Date.now()))
  })
  return details
}

/** The elements of each rollout. A rollout that does not change is not drawn again. */
const drawn = new WeakMap()

function drawOnce(rollout, draw, now) {
  const lanes = [...rollout.slots.values()]
  const isOpen =
    rollout.endedAt === undefined || lanes.some(({ bars }) => bars.some(({ stage, to }) => !to && stage !== 'serving'))
  const { outcome, trial } = rollout
  const key = isOpen ? now : JSON.stringify([outcome, trial, lanes, draw.name])
  if (drawn.get(rollout)?.key !== key) drawn.set(rollout, { key, node: draw(rollout, now) })
  return drawn.get(rollout).node
}

const newest = (rollout, now) =>
  element('article', {}, element('h3', { className: 'row' }, ...heading(rollout)), timeline(rollout, now))

export function showRollouts(status) {
  rollouts.applyStatus(status)
  const [first, ...others] = rollouts.list
  setText($('rollout'), summary(status, first) + describeLingering(status.workers))
  const now = Date.now()
  $('legend').hidden = !first
  setChildren($('timelines'), first ? [drawOnce(first, newest, now)] : [])
  setChildren(
    $('older'),
    others.map((rollout) => drawOnce(rollout, older, now))
  )
}
