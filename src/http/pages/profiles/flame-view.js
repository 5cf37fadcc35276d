// An interactive flame graph: callers above their callees, as wide as their share of the samples.

import { $, element, formatNumber, formatShare, formatSigned } from './profiles-dom.js'

const NARROWEST = 0.002 // share of the width below which frames are not drawn
const WITH_TEXT = 0.015 // share of the width from which a frame has room for text
const FULL_COLOUR = 0.1 // change of share that has the strongest colour

let tree
let zoomed
let isComparison
let side = '' // '' or 'Before': which profiles the width shows
let query = ''
const parents = new Map()
const shown = new Map() // elements by frame

/** @param root what `callTree` returns @param compares whether `totalBefore` counts */
export function showFlame(root, compares) {
  tree = root
  zoomed = root
  isComparison = compares
  side = ''
  $('width-by').value = ''
  $('width-label').hidden = !compares
  parents.clear()
  connectParents(root)
  draw()
}

function connectParents(frame) {
  for (const child of frame.children.values()) {
    parents.set(child, frame)
    connectParents(child)
  }
}

const widthOf = (frame) => frame[`total${side}`]
const childrenOf = (frame) => [...frame.children.values()].sort((a, b) => widthOf(b) - widthOf(a))
const shareNow = (frame) => (tree.total === 0 ? 0 : frame.total / tree.total)
const shareBefore = (frame) => (tree.totalBefore === 0 ? 0 : frame.totalBefore / tree.totalBefore)

function draw() {
  shown.clear()
  const path = []
  for (let frame = zoomed; frame; frame = parents.get(frame)) path.unshift(frame)
  for (const [level, frame] of path.entries()) drawFrame(frame, { from: 0, width: 1, level })
  let levels = path.length
  const drawChildren = (frame, { from, width, level }) => {
    let at = from
    for (const child of childrenOf(frame)) {
      const wide = widthOf(frame) === 0 ? 0 : (widthOf(child) / widthOf(frame)) * width
      if (wide < NARROWEST) break
      drawFrame(child, { from: at, width: wide, level })
      levels = Math.max(levels, level + 1)
      drawChildren(child, { from: at, width: wide, level: level + 1 })
      at += wide
    }
  }
  drawChildren(zoomed, { from: 0, width: 1, level: path.length })
  $('flame').style.height = `calc(var(--row) * ${levels})`
  $('flame').replaceChildren(...shown.values())
  shown.get(zoomed).tabIndex = 0
  describe(zoomed)
  $('zoom-out').ariaDisabled = zoomed === tree ? 'true' : null
  showMatches()
}

function drawFrame(frame, { from, width, level }) {
  const { name, owner } = frame.of
  const hasText = width >= WITH_TEXT
  const box = element('div', { className: hasText ? 'frame' : 'frame narrow', role: 'treeitem', tabIndex: -1 })
  const text = textOf(frame, name)
  box.textContent = hasText ? text : ''
  box.ariaLevel = level + 1
  box.ariaLabel = `${text}, ${formatShare(shareNow(frame))}${isComparison ? `, before ${formatShare(shareBefore(frame))}` : ''}`
  box.dataset.owner = ['app', 'muster', 'node', 'native'].includes(owner) ? owner : 'package'
  box.style.left = `${from * 100}%`
  box.style.width = `${width * 100}%`
  box.style.top = `calc(var(--row) * ${level})`
  if (isComparison) box.style.background = colourOf(shareNow(frame) - shareBefore(frame))
  box.addEventListener('click', () => zoom(frame))
  box.addEventListener('focus', () => describe(frame))
  box.addEventListener('mouseenter', () => describe(frame))
  shown.set(frame, box)
}

const textOf = (frame, name) =>
  isComparison ? `${name} ${formatSigned(shareNow(frame) - shareBefore(frame), formatShare)}` : name

/** Red for a larger share, blue for a smaller one, light enough for black text. */
function colourOf(change) {
  const strength = Math.min(1, Math.abs(change) / FULL_COLOUR)
  const fade = (full) => Math.round(238 - (238 - full) * strength)
  return change > 0 ? `rgb(244 ${fade(140)} ${fade(120)})` : `rgb(${fade(130)} ${fade(180)} 250)`
}

function describe(frame) {
  const { name, file, line, owner } = frame.of
  const place = file === '' ? owner : `${file}:${line}`
  const counts = `${formatShare(shareNow(frame))} with its callees, ${formatShare(tree.total ? frame.self / tree.total : 0)} itself, ${formatNumber(frame.total)} samples`
  const before = isComparison ? `; before ${formatShare(shareBefore(frame))}` : ''
  $('details').replaceChildren(
    element('b', { textContent: name }),
    frame === tree ? ` · ${formatNumber(frame.total)} samples` : ` · ${place} · ${counts}${before}`
  )
}

function zoom(frame) {
  zoomed = frame
  draw()
  shown.get(frame).focus()
}

const isMatch = ({ of }) => query !== '' && `${of.name} ${of.file}`.toLowerCase().includes(query)

function showMatches() {
  for (const [frame, box] of shown) {
    box.classList.toggle('match', isMatch(frame))
    if (isComparison) box.style.background = isMatch(frame) ? '' : colourOf(shareNow(frame) - shareBefore(frame))
  }
  if (query === '') {
    $('found').textContent = ''
    return
  }
  let samples = 0
  const add = (frame) => {
    if (isMatch(frame)) samples += frame.total
    else for (const child of frame.children.values()) add(child)
  }
  add(tree)
  $('found').textContent = `matches ${formatShare(tree.total ? samples / tree.total : 0)}`
}

function move(frame, key) {
  const parent = parents.get(frame)
  const visible = (candidates) => candidates.filter((candidate) => shown.has(candidate))
  if (key === 'ArrowUp') return parent
  if (key === 'ArrowDown') return visible(childrenOf(frame))[0]
  if (key === 'Home') return tree
  if (!parent) return undefined
  const row = visible(childrenOf(parent))
  return row[row.indexOf(frame) + (key === 'ArrowRight' ? 1 : -1)]
}

function onKey(event) {
  const frame = [...shown].find(([, box]) => box === document.activeElement)?.[0]
  if (!frame || event.ctrlKey || event.metaKey || event.altKey) return
  const { key } = event
  if (key === 'Enter' || key === ' ') zoom(frame)
  else if (key === 'Escape') zoom(parents.get(zoomed) ?? tree)
  else if (/^(Arrow|Home)/.test(key)) focusFrame(move(frame, key))
  else return
  event.preventDefault()
}

function focusFrame(frame) {
  if (!frame) return
  for (const box of shown.values()) box.tabIndex = -1
  shown.get(frame).tabIndex = 0
  shown.get(frame).focus()
}

$('flame').addEventListener('keydown', onKey)
$('zoom-out').addEventListener('click', () => {
  zoomed = parents.get(zoomed) ?? tree
  draw()
})
$('width-by').addEventListener('change', () => {
  side = $('width-by').value
  zoomed = tree
  draw()
})
$('search').addEventListener('input', () => {
  query = $('search').value.trim().toLowerCase()
  if (tree) showMatches()
})
document.addEventListener('keydown', (event) => {
  const isTyping = /^(INPUT|SELECT)$/.test(document.activeElement?.tagName ?? '')
  if (event.key !== '/' || isTyping || $('flame-panel').hidden) return
  event.preventDefault()
  $('search').focus()
})
