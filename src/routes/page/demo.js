// With DEMO=1, a visitor kills a worker or starts a reload, and this page counts the requests that fail meanwhile.

const PROBE_MS = 100
const WATCH_MS = 20_000 // the page goes on counting for this long after the last action

const $ = (id) => document.getElementById(id)
const counts = { answered: 0, failed: 0 }
let until = 0
let timer

function probe() {
  if (performance.now() > until) {
    clearInterval(timer)
    timer = undefined
    return
  }
  fetch('/hits', { cache: 'no-store' })
    .then(({ ok }) => count(ok ? 'answered' : 'failed'))
    .catch(() => count('failed'))
}

function count(name) {
  counts[name]++
  $(name).textContent = counts[name]
}

function watch() {
  until = performance.now() + WATCH_MS
  timer ??= setInterval(probe, PROBE_MS)
  $('probes').hidden = false
}

async function act(button, url, body, describe) {
  if (button.ariaDisabled === 'true') return
  button.ariaDisabled = 'true'
  watch()
  try {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    const answer = await response.json()
    $('demo-result').textContent = response.ok ? describe(answer) : answer.message
  } catch {
    $('demo-result').textContent = 'The request was lost with its worker.'
  }
  button.ariaDisabled = null
}

const describeKill = ({ slot, pid }) =>
  `The worker in slot ${slot}, process ${pid}, was killed. Another one takes its place.`

function describeReload({ outcome, generation, durationMs, connections }) {
  const moved = connections ? `, ${connections.handedOver} of ${connections.total} connections transferred` : ''
  return `Reload ${outcome}: generation ${generation} after ${(durationMs / 1000).toFixed(1)} s${moved}.`
}

/** @param servingSlot returns the slot of the worker that sends the numbers */
export function connectDemo(servingSlot) {
  $('kill').addEventListener('click', ({ currentTarget }) =>
    act(currentTarget, '/demo/kill', { slot: servingSlot() }, describeKill)
  )
  $('reload').addEventListener('click', ({ currentTarget }) => {
    $('demo-result').textContent = 'Reloading, slot by slot …'
    return act(currentTarget, '/demo/reload', {}, describeReload)
  })
}
