// Updates the page while it is open. Without JavaScript the page shows the numbers of its own request, and every link and
// form works.

import { connectDemo } from './demo.js'
import { Plot, wholeNumbers } from './plot.js'
import { showWorkers } from './worker-grid.js'

const PATIENCE_MS = 1500 // a stream that ends with its worker is back within this time, so "Reconnecting" is shown later
const RATE_PATIENCE_MS = 3000 // a worker that takes over the stream knows the rate only after its second reading
const HIDDEN_MS = 60_000 // then a hidden tab closes its connection: browsers allow six per host
const RETRY_MS = 2000
const RETRY_SPREAD_MS = 1000
const MAX_CHARACTERS = 9 // of a number at full size
const MANY_HITS = 50
const HIT_MS = 40

const $ = (id) => document.getElementById(id)
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })

function showNumber(element, value, format = wholeNumbers) {
  element.textContent = Number.isFinite(value) ? format.format(value) : '–'
  element.toggleAttribute('data-long', element.textContent.length > MAX_CHARACTERS)
}

for (const data of document.querySelectorAll('data')) showNumber(data, Number(data.value))

const plot = new Plot({ container: $('plot'), shaded: $('shaded') })

// The stream. It moves to another worker when its own one drains. When it ends, the browser reconnects by itself.

let source
let servingSlot
let rateAt = 0
let reconnectingTimer
let hiddenTimer

function showConnection(state, text) {
  clearTimeout(reconnectingTimer)
  reconnectingTimer = undefined
  if ($('connection').dataset.state === state) return // screen readers announce every change
  $('connection').dataset.state = state
  $('connection').textContent = text
}

function showSnapshot(snapshot) {
  const at = Date.now()
  const { hits, hitsPerSecond, state, workers, desired, banner } = snapshot
  showConnection('live', 'Live')
  showNumber($('total'), hits)
  if (Number.isFinite(hitsPerSecond)) rateAt = at
  if (rateAt === at || at - rateAt > RATE_PATIENCE_MS) {
    showNumber($('rate'), hitsPerSecond, hitsPerSecond < 100 ? tenths : wholeNumbers)
  }
  if (Number.isFinite(hitsPerSecond)) plot.add({ at, rate: hitsPerSecond, reloading: state === 'reloading' })
  $('idle').hidden = plot.draw(at)
  servingSlot = snapshot.servedBy.slot
  showWorkers($('workers'), snapshot)
  const ready = workers.filter(({ status }) => status === 'ready').length
  $('muster').textContent = `${ready} of ${desired} ready${state === 'running' ? '' : `, ${state}`}`
  if ($('banner').textContent !== banner) $('banner').textContent = banner // screen readers announce every change
}

function connect() {
  if (source && source.readyState !== EventSource.CLOSED) return
  source = new EventSource('/events')
  source.onmessage = ({ data }) => showSnapshot(JSON.parse(data))
  source.onerror = () => {
    reconnectingTimer ??= setTimeout(showConnection, PATIENCE_MS, 'reconnecting', 'Reconnecting')
    // After an answer that is not a stream, such as a 503, the browser gives up, so the page retries.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS + Math.random() * RETRY_SPREAD_MS)
  }
}

function disconnect() {
  source?.close()
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(hiddenTimer)
  if (document.hidden) hiddenTimer = setTimeout(disconnect, HIDDEN_MS)
  else connect()
})
addEventListener('pagehide', () => {
  plot.save()
  disconnect()
})
addEventListener('pageshow', connect) // after the first load, and when the browser restores the page from its cache

$('live').hidden = false
plot.draw(Date.now())

// An idle service: a visitor sends hits.

$('send').addEventListener('click', async () => {
  for (let i = 0; i < MANY_HITS; i++) {
    await fetch('/hits', { method: 'POST' }).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, HIT_MS))
  }
})
connectDemo(() => servingSlot)

// The curl line: the address of this page, and a button where the browser allows access to the clipboard.

const address = location.protocol === 'https:' ? location.origin : location.host
$('curl').textContent = `curl ${address}/`
$('copy').hidden = !navigator.clipboard
$('copy').addEventListener('click', async () => {
  await navigator.clipboard.writeText($('curl').textContent)
  $('copy').textContent = 'Copied'
})
