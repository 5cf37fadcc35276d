// Makes the page live. Without it the page shows the numbers of its own request, and every link and form works.

const SPANS = [30, 60, 120, 180] // seconds that the plot shows: no more than it has samples for
const SECONDS = SPANS.at(-1) // the most samples kept
const GAP = 4000 // ms without a sample from which on the line is broken rather than drawn across
const PATIENCE = 1500 // ms; a worker that drains passes its stream on faster than this, and nobody needs to be told
const UNSEEN = 60_000 // ms after which a hidden tab gives its connection back: browsers allow six a host
const LIT = 1600 // ms for which a worker that has served is lit
const SAVED = 'muster.samples'

const $ = (id) => document.getElementById(id)
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })

function show(element, value, format = whole) {
  element.textContent = Number.isFinite(value) ? format.format(value) : '–'
  element.toggleAttribute('data-long', element.textContent.length > 9)
}

for (const data of document.querySelectorAll('data')) show(data, Number(data.value))

// The plot. One unit across is one second. `at` is wall-clock time, so that "Hit again" carries the samples over.

let samples = restore()
const svg = shape('svg', { preserveAspectRatio: 'none', role: 'img' })
svg.setAttribute('aria-label', 'Plot of hits per second over the last minutes')
const crisp = { 'vector-effect': 'non-scaling-stroke' }
const roll = shape('path', { class: 'roll' })
const area = shape('path', { class: 'area' })
const line = shape('path', { class: 'line', ...crisp })
svg.append(shape('path', { class: 'grid', d: `M0 2H${SECONDS}M0 51H${SECONDS}`, ...crisp }), roll, area, line)
$('plot').append(svg)

function shape(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}

function restore() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(SAVED) ?? '[]')
    return saved.filter(({ at, rate }) => Number.isFinite(at) && Number.isFinite(rate)).slice(-SECONDS)
  } catch {
    return [] // storage may be forbidden
  }
}

function save() {
  try {
    sessionStorage.setItem(SAVED, JSON.stringify(samples))
  } catch {}
}

/** The first of 1, 2, 5, 10, 20, 50 … that is not below the peak: the scale changes seldom. */
function ceiling(peak) {
  const power = 10 ** Math.floor(Math.log10(Math.max(peak, 1)))
  return power * ([1, 2, 5].find((step) => step * power >= peak) ?? 10)
}

function draw(now) {
  samples = samples.filter(({ at }) => at <= now && now - at <= SECONDS * 1000).slice(-SECONDS)
  const age = (now - (samples[0]?.at ?? now)) / 1000
  const span = SPANS.find((seconds) => seconds >= age) ?? SECONDS
  const top = ceiling(Math.max(0, ...samples.map(({ rate }) => rate)))
  const d = { line: '', area: '', roll: '' }
  samples.forEach(({ at, rate, rolling }, index) => {
    const x = (span - (now - at) / 1000).toFixed(2)
    const y = (100 - (98 * rate) / top).toFixed(2)
    const first = index === 0 || at - samples[index - 1].at > GAP
    const last = index === samples.length - 1 || samples[index + 1].at - at > GAP
    d.line += `${first ? 'M' : 'L'}${x} ${y}`
    d.area += `${first ? `M${x} 100` : ''}L${x} ${y}${last ? 'V100Z' : ''}`
    if (rolling) d.roll += `M${x} 0V100`
  })
  svg.setAttribute('viewBox', `0 0 ${span} 100`)
  line.setAttribute('d', d.line)
  area.setAttribute('d', d.area)
  roll.setAttribute('d', d.roll)
  $('since').textContent = span < 60 ? `${span} s ago` : `${span / 60} min ago`
  $('scale').textContent = `top line ${whole.format(top)}/s${d.roll ? ', shaded: reload' : ''}`
}

// The workers: one cell a process, kept from tick to tick, and a vacant one for every slot that nobody fills.

function cell(key) {
  const item = document.createElement('li')
  item.dataset.key = key
  item.append(...['b', 'span', 'span', 'span', 'span'].map((name) => document.createElement(name)))
  return item
}

/** It has served since the last look, or a moment ago: its heartbeat and the frames do not keep step. */
function serves(item, requests, now) {
  const before = Number(item.dataset.requests)
  if (requests > before) item.dataset.litUntil = now + LIT
  if (Number.isFinite(requests)) item.dataset.requests = requests
  return Number(item.dataset.litUntil ?? 0) > now
}

function muster({ workers, desired, servedBy, state }) {
  const list = $('workers')
  const slots = Array.from({ length: desired }, (_, slot) => ({ slot, status: 'vacant' }))
  const rows = [...workers, ...slots.filter(({ slot }) => !workers.some((worker) => worker.slot === slot))]
  rows.sort((a, b) => a.slot - b.slot || a.generation - b.generation || a.pid - b.pid)
  const now = performance.now()
  rows.forEach(({ slot, status, pid, generation, requests }, index) => {
    const key = `${slot}/${pid}`
    const item = list.querySelector(`[data-key="${key}"]`) ?? cell(key)
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null)
    const here = pid !== undefined && pid === servedBy?.pid
    item.dataset.status = status
    item.dataset.pid = pid ?? ''
    item.toggleAttribute('data-here', here)
    item.title = here ? 'This worker feeds the numbers you see' : ''
    item.toggleAttribute('data-lit', serves(item, requests, now))
    const served = Number.isFinite(requests) ? `${whole.format(requests)} served` : ''
    const texts = pid ? [slot, status, served, `pid ${pid}`, `gen ${generation}`] : [slot, status, '', '', '']
    for (const [at, text] of texts.entries()) item.children[at].textContent = text
  })
  while (list.children.length > rows.length) list.lastElementChild.remove()
  list.toggleAttribute('data-many', rows.length > 16)
  const ready = workers.filter(({ status }) => status === 'ready').length
  $('muster').textContent = `${ready} of ${desired} ready${state === 'running' ? '' : `, ${state}`}`
}

// The stream. The last event of a draining worker, `bye`, needs no answer: the browser connects to another by itself.

let source
let telling
let unseen

function tell(state, text) {
  clearTimeout(telling)
  telling = undefined
  if ($('connection').dataset.state === state) return // announced once, not every tick
  $('connection').dataset.state = state
  $('connection').textContent = text
}

function connect() {
  if (source && source.readyState !== EventSource.CLOSED) return
  source = new EventSource('/events')
  source.onmessage = ({ data }) => {
    const tick = JSON.parse(data)
    const at = Date.now()
    tell('live', 'Live')
    show($('total'), tick.hits)
    show($('rate'), tick.hitsPerSecond, tick.hitsPerSecond < 100 ? tenths : whole)
    const rolling = tick.state === 'reloading'
    if (Number.isFinite(tick.hitsPerSecond)) samples.push({ at, rate: tick.hitsPerSecond, rolling })
    draw(at)
    muster(tick)
    if ($('banner').textContent !== tick.banner) $('banner').textContent = tick.banner // announced once, not every tick
  }
  source.onerror = () => {
    telling ??= setTimeout(tell, PATIENCE, 'reconnecting', 'Reconnecting')
    // After an answer that is no stream, such as a 503, the browser gives up; the page does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000 + Math.random() * 1000)
  }
}

function disconnect() {
  source?.close()
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(unseen)
  if (document.hidden) unseen = setTimeout(disconnect, UNSEEN)
  else connect()
})
addEventListener('pagehide', save)
addEventListener('pagehide', disconnect)
addEventListener('pageshow', connect) // after the first load, and on the way back to a page the browser kept

$('live').hidden = false
draw(Date.now())

// The curl line: this page's own address, and a button where the browser lets a page write to the clipboard.

const address = location.protocol === 'https:' ? location.origin : location.host
$('curl').textContent = `curl ${address}/`
$('copy').hidden = !navigator.clipboard
$('copy').addEventListener('click', async () => {
  await navigator.clipboard.writeText($('curl').textContent)
  $('copy').textContent = 'Copied'
})
