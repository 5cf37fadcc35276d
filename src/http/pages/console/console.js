// The console: signing in, the stream of events, and which part shows what.

import { connectCommands, runCommand, showSettings } from './commands.js'
import { attentionOf, healthOf } from './model/health.js'
import { $, element, setText } from './page.js'
import { follow, forget, hasToken, setToken } from './stream.js'
import { showFigures } from './views/figures.js'
import { otherHosts, updateHosts } from './views/hosts.js'
import { connectJournal, journal, loadHistory, showJournal } from './views/journal-view.js'
import { showQuarantine } from './views/quarantine-view.js'
import { applyToRollouts, replaceRollouts, showRollouts } from './views/rollout-view.js'
import { settingValue, showValue } from './views/settings-view.js'
import { showTrial } from './views/trial-view.js'
import { showWorkers, totalRate } from './views/workers-view.js'

const SETTINGS_DELAY_MS = 200 // entries of the journal may come in groups
const THEME_KEY = 'muster.theme'
const THEMES = ['auto', 'light', 'dark']

let status
let settingsTimer
let settingsNeeded = false
let historyNeeded = false

function showConnection(state, text) {
  $('connection').dataset.state = state
  setText($('connection'), text)
}

// Signing in and out.

function signOut(message = '') {
  forget()
  status = undefined
  document.body.dataset.signedIn = 'no'
  setText($('refused'), message)
  showConnection('off', '')
  $('token').value = ''
  $('token').focus()
}

const isSignedIn = () => document.body.dataset.signedIn === 'yes'

const listener = {
  onOpen(mayCommand) {
    historyNeeded ||= !isSignedIn()
    document.body.dataset.signedIn = 'yes'
    document.body.dataset.access = mayCommand ? 'control' : 'read'
    settingsNeeded = mayCommand
  },
  onEvent(name, data) {
    if (name === 'status') showStatus(data)
    else if (name === 'journal' || name === 'audit') showEntry(data)
  },
  onRefused: () => signOut('This token is refused.'),
  onLost(why) {
    if (document.body.dataset.signedIn === 'no') {
      setText($('refused'), why)
      return false
    }
    showConnection('connecting', why ? `Reconnecting: ${why}` : 'Connecting')
    if (why) showUnknown()
    return true
  }
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault()
  setText($('refused'), '')
  setToken($('token').value.trim())
  void follow(listener)
})
$('leave').addEventListener('click', () => signOut())

// What the service sends.

function showStatus(current) {
  status = current
  showConnection('live', 'Live')
  const { version, host, pid, scheduling, workers, desired, autoscaling } = current
  setText($('about'), `${host} · version ${version} · pid ${pid} · ${scheduling}`)
  showWorkers(workers, (command, slot, button) => void runCommand(command, { slot }, button))
  showRollouts(current)
  showTrial(current)
  showFigures(current, totalRate())
  showQuarantine(current, (route, button) => void runCommand('quarantine-lift', { route }, button))
  void updateHosts()
  showValue($('workers-wanted'), autoscaling?.range ?? String(desired))
  showHealth()
  if (historyNeeded) {
    historyNeeded = false
    void loadHistory().then(addEntries)
  }
  if (settingsNeeded && current.state !== 'draining') {
    settingsNeeded = false
    void showSettings()
  }
}

function showHealth() {
  const { level, line } = healthOf(status, totalRate())
  $('health').dataset.level = level
  // The rate changes each second, and screen readers announce every change: they read the line without it.
  setText($('health-line'), line)
  setText($('health-spoken'), healthOf(status).line)
  const context = { now: Date.now(), hosts: otherHosts(), maintenance: settingValue('maintenance') === true }
  showAttention(attentionOf(status, journal.entries, context))
}

function showUnknown() {
  const text = 'Not known: the service does not answer. Below is what it said last.'
  $('health').dataset.level = 'warn'
  setText($('health-line'), text)
  setText($('health-spoken'), text)
}

let shownNotes = ''

function showAttention(notes) {
  const key = JSON.stringify(notes)
  if (key === shownNotes) return
  shownNotes = key
  setText($('attention-title'), notes.length === 0 ? 'Nothing needs your attention.' : 'Needs attention')
  const items = notes.map(({ level, text, target }) => {
    const item = element('li', {}, element('a', { href: `#${target}`, textContent: text }))
    item.dataset.level = level
    return item
  })
  $('attention').replaceChildren(...items)
}

/** Shows an entry of the journal, unless it came before: the service repeats entries when a client connects. */
function showEntry(entry) {
  const place = journal.add(entry)
  if (place === 'known') return
  if (place === 'older') replaceRollouts(journal.entries)
  else applyToRollouts(entry)
  showJournal()
  if (status) showRollouts(status)
  const changedSetting = /^(settings-set|log-level)$/.test(entry.command) && entry.event === 'command answered'
  if (changedSetting && document.body.dataset.access === 'control') {
    clearTimeout(settingsTimer)
    settingsTimer = setTimeout(showSettings, SETTINGS_DELAY_MS)
  }
}

/** Adds entries of the past. */
function addEntries(entries) {
  for (const entry of entries) journal.add(entry)
  replaceRollouts(journal.entries)
  showJournal()
  if (status) showRollouts(status)
}

// The theme: that of the system, or the operator's choice.

function showTheme(theme) {
  document.documentElement.dataset.theme = theme
  setText($('theme'), `Theme: ${theme}`)
}

function readTheme() {
  try {
    return localStorage.getItem(THEME_KEY) ?? 'auto'
  } catch {
    return 'auto' // storage may be forbidden
  }
}

$('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]
  showTheme(next)
  try {
    localStorage.setItem(THEME_KEY, next)
  } catch {} // storage may be forbidden
})

showTheme(readTheme())
connectCommands(() => status?.desired ?? 0)
connectJournal(addEntries)
if (hasToken()) {
  showConnection('connecting', 'Connecting')
  void follow(listener)
} else {
  signOut()
}
