// The console: a token, one stream of events, and commands. The token is kept in this tab and nowhere else.

import { act, commandsWith, put, reason, showSettings } from './commands.js'
import { $, addLine, count, duration, element, write } from './page.js'
import { noteRoll, showRoll } from './rollout.js'
import { showWorkers, totalRate } from './workers.js'

const SAVED = 'muster.token'
const BACK = 300 // ms after which a stream that ended is asked for again
const LATER = 2000 // ms, after a refusal or a fault that does not say when
const KNOWN = 500 // entries of the journal that are not shown twice

let token = read()
let following
let status
let refreshing
let asksSettings = false

function read() {
  try {
    return sessionStorage.getItem(SAVED)
  } catch {
    return null // storage may be forbidden
  }
}

function keep(value) {
  token = value
  try {
    if (value === null) sessionStorage.removeItem(SAVED)
    else sessionStorage.setItem(SAVED, value)
  } catch {}
}

const ask = (path, options = {}) =>
  fetch(path, { ...options, cache: 'no-store', headers: { ...options.headers, authorization: `Bearer ${token}` } })

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function tell(state, text) {
  $('connection').dataset.state = state
  write($('connection'), text)
}

// In and out.

function leave(why = '') {
  following?.abort()
  keep(null)
  $('enter').hidden = false
  $('console').hidden = $('leave').hidden = true
  $('refused').textContent = why
  tell('off', '')
  $('token').value = ''
  $('token').focus()
}

function enter(response) {
  const mayCommand = response.headers.get('x-admin-access') === 'control'
  $('enter').hidden = true
  $('console').hidden = $('leave').hidden = false
  $('controls').hidden = !mayCommand
  document.body.toggleAttribute('data-read-only', !mayCommand)
  keep(token)
  asksSettings = mayCommand
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault()
  $('refused').textContent = ''
  token = $('token').value.trim()
  void follow()
})
$('leave').addEventListener('click', () => leave())

// The stream. EventSource cannot send a token, so it is read by hand; a worker that leaves ends it, and another goes on.

async function follow() {
  following?.abort()
  const { signal } = (following = new AbortController())
  while (!signal.aborted) {
    let pause = LATER
    try {
      const response = await ask('/admin/events', { signal })
      if (response.status === 401) return leave('This token is refused.')
      if (!response.ok) {
        pause = response.headers.get('retry-after') * 1000 || LATER
        throw new Error(await reason(response))
      }
      pause = BACK
      enter(response)
      await readEvents(response.body)
      tell('connecting', 'Connecting')
    } catch (error) {
      if (signal.aborted) return
      if (!$('enter').hidden) {
        write($('refused'), error.message)
        return
      }
      tell('connecting', `Reconnecting: ${error.message}`)
    }
    await sleep(pause)
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
    for (const event of events) handle(event)
  }
}

function handle(text) {
  const { event, data } = Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/s, 2)))
  if (event === 'status') show(JSON.parse(data))
  else if (event === 'journal' || event === 'audit') showEntry(JSON.parse(data))
}

function show(now) {
  tell('live', 'Live')
  const { version, pid, scheduling, workers, desired } = now
  const sum = (field) => workers.reduce((all, worker) => all + (worker[field] ?? 0), 0)
  showWorkers(workers, (command, slot, button) => void act(command, { slot }, button))
  showRoll(now)
  write($('about'), `version ${version} · pid ${pid} · ${scheduling}`)
  const ready = new Set(workers.filter((worker) => worker.status === 'ready').map(({ slot }) => slot)).size
  const restarts = Object.entries(now.restarts).filter(([, times]) => times > 0)
  figures({
    State: now.state,
    'Workers ready': `${ready} of ${desired}`,
    Generation: count(now.generation),
    'Requests/s': count(totalRate()),
    'In flight': count(sum('inFlight')),
    Connections: count(sum('connections')),
    Restarts: restarts.map(([why, times]) => `${why} ${times}`).join(', ') || '0',
    Uptime: duration(now.uptimeSeconds)
  })
  put($('workers'), desired)
  status = now
  if (asksSettings && now.state !== 'draining') {
    asksSettings = false
    void showSettings()
  }
}

function figures(values) {
  const list = $('figures')
  for (const [i, [name, value]] of Object.entries(values).entries()) {
    if (!list.children[i]) list.append(element('div', {}, element('dt', { textContent: name }), element('dd')))
    write(list.children[i].lastChild, value)
  }
}

const shown = new Set()

/** One that was shown already, before the stream came back or somebody else joined, is not shown again. */
function showEntry(entry) {
  const key = JSON.stringify(entry)
  if (shown.has(key)) return
  shown.add(key)
  if (shown.size > KNOWN) shown.delete(shown.values().next().value)
  const { at, event, slot, pid, generation, command, who, ok, why } = entry
  const about = [
    command,
    slot !== undefined && `slot ${slot}`,
    pid && `pid ${pid}`,
    generation && `generation ${generation}`,
    who && `by ${who}`,
    ok === false && 'not done',
    why
  ]
  addLine($('journal'), new Date(at), [event, ...about].filter(Boolean).join(' · '))
  noteRoll(entry)
  if (status) showRoll(status)
  if (event === 'command answered' && /^(settings-set|log-level)$/.test(command) && !$('controls').hidden) {
    clearTimeout(refreshing) // once, for all entries that come first
    refreshing = setTimeout(showSettings, 200)
  }
}

commandsWith(ask, () => status?.desired ?? 0)
if (token) {
  tell('connecting', 'Connecting')
  void follow()
} else leave()
