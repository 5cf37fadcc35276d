// The page: draws the simulated service, and lets time pass.

import { RELEASES, SimulatedService } from './simulated-service.js'

const TICK_MS = 50
const MAX_LINES = 200

const $ = (id) => document.getElementById(id)
const service = new SimulatedService({ workers: 4 })
let shownLines = 0
let lastLine

function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties)
  created.append(...children)
  return created
}

const secondsOf = (ms) => `${(ms / 1000).toFixed(1)} s`

function stageOf() {
  const { rollout, phase } = service.state
  if (service.ended) return 'The service has ended.'
  if (phase !== 'running') return 'The service drains.'
  if (!rollout) return `Generation ${service.state.generation} serves.`
  if (rollout.failure) return `The reload to generation ${rollout.generation} is rolled back: ${rollout.failure}`
  if (rollout.trial) return `Reload to generation ${rollout.generation}: its canary is judged by its own traffic.`
  return `Reload to generation ${rollout.generation}, slot by slot.`
}

function roleOf({ id, control }) {
  if (control) return 'control'
  return service.state.rollout?.trial?.canary === id ? 'canary' : ''
}

/** Cards are kept while their worker lives, so that the focus stays on a button. */
const cards = new Map()

function cardOf(worker) {
  let card = cards.get(worker.id)
  if (!card) {
    card = element(
      'li',
      {},
      element('b'),
      element('span', { className: 'about' }),
      element('p', { className: 'actions' })
    )
    for (const [name, title] of [
      ['crash', 'Crash'],
      ['hang', 'Hang'],
      ['leak', 'Leak'],
      ['recycle', 'Recycle']
    ]) {
      const button = element('button', { type: 'button', textContent: title })
      button.ariaLabel = `${title} worker ${worker.id}`
      button.addEventListener('click', () => {
        if (service.bodies.has(worker.id)) service[name](worker.id)
        draw()
      })
      card.lastChild.append(button)
    }
    cards.set(worker.id, card)
  }
  const { status, slot, generation, pid, lost } = worker
  const body = service.bodies.get(worker.id)
  card.dataset.status = lost || body?.hangs ? 'hangs' : status
  const memory = body ? ` · ${Math.round(body.rssBytes / 2 ** 20)} MiB` : ''
  card.firstChild.textContent = `#${worker.id} ${card.dataset.status}${roleOf(worker) && `, ${roleOf(worker)}`}`
  card.children[1].textContent = `slot ${slot} · generation ${generation} · pid ${pid}${memory}`
  card.lastChild.hidden = status !== 'ready'
  return card
}

function draw() {
  const { workers, desired } = service.state
  $('time').textContent = secondsOf(service.now)
  $('stage').textContent = stageOf()
  $('desired').textContent = String(desired)
  $('requests').textContent = service.requests.toLocaleString('en')
  $('failed').textContent = service.failed.toLocaleString('en')
  const inOrder = [...workers].sort((a, b) => a.slot - b.slot || a.id - b.id)
  const shown = inOrder.map(cardOf)
  for (const id of cards.keys()) if (!workers.some((worker) => worker.id === id)) cards.delete(id)
  const isSame =
    shown.length === $('workers').children.length && shown.every((card, i) => $('workers').children[i] === card)
  if (!isSame) $('workers').replaceChildren(...shown)
  drawLog()
}

/** Adds the new lines at the top. */
function drawLog() {
  const from = lastLine ? service.log.lastIndexOf(lastLine) + 1 : 0
  for (const line of service.log.slice(from)) {
    const item = element('li', {}, element('time', { textContent: secondsOf(line.at) }), line.text)
    item.dataset.kind = line.kind
    $('log').prepend(item)
    shownLines++
    lastLine = line
  }
  for (; shownLines > MAX_LINES; shownLines--) $('log').lastElementChild.remove()
}

function act(run) {
  if (!service.ended) run()
  draw()
}

for (const [kind, text] of Object.entries(RELEASES))
  $('release').append(element('option', { value: kind, textContent: text }))
$('reload').addEventListener('submit', (event) => {
  event.preventDefault()
  act(() => service.reload($('release').value))
})
$('promote').addEventListener('click', () => act(() => service.promote()))
$('more').addEventListener('click', () => act(() => service.scale(Math.min(12, service.state.desired + 1))))
$('fewer').addEventListener('click', () => act(() => service.scale(Math.max(1, service.state.desired - 1))))
$('stop').addEventListener('click', () => act(() => service.stop()))
$('restart').addEventListener('click', () => location.reload())
$('step').addEventListener('click', () => act(() => service.advance(1000)))
for (const kind of ['event', 'decision']) {
  $(`show-${kind}`).addEventListener('change', ({ target }) =>
    $('log').toggleAttribute(`data-without-${kind}`, !target.checked)
  )
}

$('log').tabIndex = 0 // it scrolls, by keyboard too
let last = performance.now()
setInterval(() => {
  const now = performance.now()
  const passed = Math.min(now - last, 1000) // a hidden tab gets few ticks
  last = now
  const speed = Number($('speed').value)
  if (speed > 0) service.advance(passed * speed)
  draw()
}, TICK_MS)
draw()
