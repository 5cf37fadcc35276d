// CPU profiles: the flame graph and the table of functions, of one side or of two that are compared.

import { askFile } from './admin-api.js'
import { callTree } from './call-tree.js'
import { compareProfiles, FEW_SAMPLES, notableChanges } from './compare-profiles.js'
import { readCpuProfile } from './cpu-profile.js'
import { showFlame } from './flame-view.js'
import { $, fillTable, formatNumber, formatShare, formatSigned } from './profiles-dom.js'
import { rankFunctions } from './rank-functions.js'

const MAX_ROWS = 100
const loaded = new Map() // profiles by the name of their file

async function load(name) {
  if (!loaded.has(name)) loaded.set(name, readCpuProfile(await (await askFile(name)).text()))
  return loaded.get(name)
}

const placeOf = ({ of }) => (of.file === '' ? of.owner : `${of.file}:${of.line}`)
const FUNCTION = [
  ['Function', ({ of }) => of.name],
  ['At', placeOf]
]
const SHARES = [
  ['Self', ({ self }) => formatShare(self), true],
  ['Total', ({ total }) => formatShare(total), true],
  ...FUNCTION
]
const CHANGES = [
  [
    'Change of self',
    ({ change, margin }) => `${formatSigned(change, formatShare)} ± ${(margin * 100).toFixed(1)}`,
    true,
    ({ isClear, change }) => (isClear && change > 0 ? 'grew' : '')
  ],
  ['Clear', ({ isClear }) => (isClear ? 'yes' : 'no')],
  ['Self base', ({ selfBefore }) => formatShare(selfBefore), true],
  ['Self new', ({ self }) => formatShare(self), true],
  ['Total base', ({ totalBefore }) => formatShare(totalBefore), true],
  ['Total new', ({ total }) => formatShare(total), true],
  ...FUNCTION
]

/** @param now and @param before names of files */
export async function showProfiles(now, before) {
  const [profiles, base] = await Promise.all([Promise.all(now.map(load)), Promise.all(before.map(load))])
  $('flame-panel').hidden = now.length === 0
  if (now.length === 0) return
  if (base.length > 0) showComparison(compareProfiles(base, profiles))
  else showOne(profiles)
}

function showOne(profiles) {
  const { functions, busy, all } = rankFunctions(profiles)
  $('flame-title').textContent = 'Flame graph'
  $('flame-note').textContent =
    `${formatNumber(busy)} of ${formatNumber(all)} samples are busy; shares are of the busy ones. Blue: your app, yellow: packages, green: Node.js, violet: muster, grey: V8 and the system.`
  showFlame(callTree(profiles), false)
  fillTable($('functions'), SHARES, functions.slice(0, MAX_ROWS))
}

function showComparison({ functions, busy, busyBefore, tree }) {
  $('flame-title').textContent = 'Differential flame graph'
  const few = Math.min(busy, busyBefore) < FEW_SAMPLES ? ' That is few: take longer profiles, under load.' : ''
  const none = functions.some(({ isClear }) => isClear) ? '' : ' No change is clear: chance explains all of them.'
  $('flame-note').textContent =
    `Red: a larger share of CPU time than in the base; blue: a smaller one. Busy samples: ${formatNumber(busy)} new, ${formatNumber(busyBefore)} base.${few}${none}`
  showFlame(tree, true)
  fillTable($('functions'), CHANGES, notableChanges(functions, MAX_ROWS))
}
