// The console: a token, one stream of events, and commands. The token is stored in this tab only.

import { connectCommands, messageOf, runCommand, showSettings } from './commands.js'
import { updateHosts } from './hosts.js'
import { $, addLine, element, formatDuration, formatNumber, setText } from './page.js'
import { applyJournalEntry, showRollout } from './rollout-view.js'
import { showValue } from './settings-view.js'
import { showTrial } from './trial-view.js'
import { showWorkers, totalRate } from './workers.js'

const TOKEN_KEY = 'muster.token'
const RECONNECT_MS = 300 // after a stream that ended
const RETRY_MS = 2000 // after a refusal or an error without Retry-After
const MAX_KNOWN_ENTRIES = 500 // of the journal, remembered so that they are not shown twice
const SETTINGS_DELAY_MS = 200 // entries of the journal may come in groups

let token = readToken()
let stream
let status
let settingsTimer
let settingsNeeded = false

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY)
  } catch {
    return null // storage may be forbidden
  }
}

function storeToken(value) {
  token = value
  try {
    if (value === null) sessionStorage.removeItem(TOKEN_KEY)
    else sessionStorage.setItem(TOKEN_KEY, value)
  } catch {} // storage may be forbidden
}

/** @param path below that of the page */
const fetchWithToken = (path, options = {}) =>
  fetch($('enter').getAttribute('action') + path, {
    ...options,
    cache: 'no-store',
    headers: { ...options.headers, authorization: `Bearer ${token}` }
  })

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function showConnection(state, text) {
  $('connection').dataset.state = state
  setText($('connection'), text)
}

// Signing in and out.

function signOut(message = '') {
  stream?.abort()
  storeToken(null)
  $('enter').hidden = false
  $('console').hidden = true
  $('leave').hidden = true
  $('refused').textContent = message
  showConnection('off', '')
  $('token').value = ''
  $('token').focus()
}

function signIn(response) {
  const mayCommand = response.headers.get('x-admin-access') === 'control'
  $('enter').hidden = true
  $('console').hidden = false
  $('leave').hidden = false
  $('controls').hidden = !mayCommand
  $('trial-commands').hidden = !mayCommand
  document.body.toggleAttribute('data-read-only', !mayCommand)
  storeToken(token)
  settingsNeeded = mayCommand
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault()
  $('refused').textContent = ''
  token = $('token').value.trim()
  void follow()
})
$('leave').addEventListener('click', () => signOut())

// The stream. EventSource cannot send a token, so the events are parsed here. When a worker drains, its stream ends and the
// next connection reaches another worker.

async function follow() {
  stream?.abort()
  stream = new AbortController()
  const { signal } = stream
  while (!signal.aborted) {
    let pauseMs = RETRY_MS
    try {
      const response = await fetchWithToken('/events', { signal })
      if (response.status === 401) return signOut('This token is refused.')
      if (!response.ok) {
        pauseMs = response.headers.get('retry-after') * 1000 || RETRY_MS
        throw new Error(await messageOf(response))
      }
      pauseMs = RECONNECT_MS
      signIn(response)
      await readEvents(response.body)
      showConnection('connecting', 'Connecting')
    } catch (error) {
      if (signal.aborted) return
      const isSignedIn = $('enter').hidden
      if (!isSignedIn) return setText($('refused'), error.message)
      showConnection('connecting', `Reconnecting: ${error.message}`)
    }
    await sleep(pauseMs)
  }
}

async function readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (text + value).split('\n\n')
    text = events.pop()
    for (const event of events) handleEvent(event)
  }
}

function handleEvent(text) {
  const { event, data } = Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/s, 2)))
  if (event === 'status') showStatus(JSON.parse(data))
  else if (event === 'journal' || event === 'audit') showEntry(JSON.parse(data))
}

function showStatus(current) {
  status = current
  showConnection('live', 'Live')
  const { version, pid, scheduling, workers, desired } = current
  showWorkers(workers, (command, slot, button) => void runCommand(command, { slot }, button))
  showRollout(current)
  showTrial(current)
  setText($('about'), `version ${version} · pid ${pid} · ${scheduling}`)
  showFigures(figuresOf(current))
  void updateHosts(fetchWithToken)
  showValue($('workers'), desired)
  if (settingsNeeded && current.state !== 'draining') {
    settingsNeeded = false
    void showSettings()
  }
}

function figuresOf({ state, workers, desired, generation, restarts, uptimeSeconds, autoscaling, quarantine = [] }) {
  const sum = (field) => workers.reduce((total, worker) => total + (worker[field] ?? 0), 0)
  const readySlots = new Set(workers.filter((worker) => worker.status === 'ready').map(({ slot }) => slot))
  const restartCounts = Object.entries(restarts).filter(([, count]) => count > 0)
  return {
    State: state,
    'Workers ready': `${readySlots.size} of ${desired}`,
    Generation: formatNumber(generation),
    'Requests/s': formatNumber(totalRate()),
    'In flight': formatNumber(sum('inFlight')),
    Connections: formatNumber(sum('connections')),
    Restarts: restartCounts.map(([reason, count]) => `${reason} ${count}`).join(', ') || '0',
    Quarantined: quarantine.map(({ route }) => route).join(', ') || 'no route',
    Uptime: formatDuration(uptimeSeconds),
    ...(autoscaling && { Autoscaling: `${autoscaling.range ?? 'off'}, load ${formatNumber(autoscaling.load)}` })
  }
}

function showFigures(figures) {
  const list = $('figures')
  for (const [i, [name, value]] of Object.entries(figures).entries()) {
    if (!list.children[i]) list.append(element('div', {}, element('dt', { textContent: name }), element('dd')))
    setText(list.children[i].lastChild, value)
  }
}

const knownEntries = new Set()

/** Shows an entry of the journal, unless it came before: the service repeats entries when a client connects. */
function showEntry(entry) {
  const key = JSON.stringify(entry)
  if (knownEntries.has(key)) return
  knownEntries.add(key)
  if (knownEntries.size > MAX_KNOWN_ENTRIES) knownEntries.delete(knownEntries.values().next().value)
  addLine($('journal'), new Date(entry.at), describeEntry(entry))
  applyJournalEntry(entry)
  if (status) showRollout(status)
  const { event, command } = entry
  const changedSetting = event === 'command answered' && (command === 'settings-set' || command === 'log-level')
  if (changedSetting && !$('controls').hidden) {
    clearTimeout(settingsTimer)
    settingsTimer = setTimeout(showSettings, SETTINGS_DELAY_MS)
  }
}

function describeEntry({ event, slot, pid, generation, command, who, ok, why }) {
  const parts = [
    event,
    command,
    slot !== undefined && `slot ${slot}`,
    pid && `pid ${pid}`,
    generation && `generation ${generation}`,
    who && `by ${who}`,
    ok === false && 'failed',
    why
  ]
  return parts.filter(Boolean).join(' · ')
}

connectCommands(fetchWithToken, () => status?.desired ?? 0)
if (token) {
  showConnection('connecting', 'Connecting')
  void follow()
} else {
  signOut()
}
