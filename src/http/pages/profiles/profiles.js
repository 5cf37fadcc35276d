// The page of profiles: which files there are, which are chosen, and what takes new ones. The choice is in the fragment of the
// address, so that a link shows the same.

import { ask, command, hasToken, saveFile, storeToken } from './admin-api.js'
import { showProfiles } from './cpu-view.js'
import { showHeap } from './heap-view.js'
import { $, element, formatBytes } from './profiles-dom.js'

const ALL = 'all'
const TRIAL = 'trial'
/** The names of chosen files, by the part of the page. */
const KEYS = ['new', 'base', 'heap', 'heap-base']

let chosen = readFragment()

function readFragment() {
  const fragment = new URLSearchParams(location.hash.slice(1))
  return Object.fromEntries(KEYS.map((key) => [key, fragment.get(key)?.split(',').filter(Boolean) ?? []]))
}

function writeFragment() {
  const parts = KEYS.filter((key) => chosen[key].length > 0).map((key) => `${key}=${chosen[key].join(',')}`)
  history.replaceState(null, '', parts.length > 0 ? `#${parts.join('&')}` : location.pathname)
}

async function show() {
  writeFragment()
  try {
    await showProfiles(chosen.new, chosen.base)
    await showHeap(chosen.heap[0], chosen['heap-base'][0])
    $('state').textContent = ''
  } catch ({ message }) {
    $('state').textContent = message
  }
}

const describeWorker = ({ slot, pid, generation, role }) =>
  [role, `slot ${slot}`, `pid ${pid}`, generation && `generation ${generation}`].filter(Boolean).join(' · ')

/** A box to tick, or to choose one of, that says which side a file is on. */
function choice(file, key, type) {
  const input = element('input', { type, name: key, checked: chosen[key].includes(file.name) })
  input.ariaLabel = `${key.endsWith('base') ? 'Base' : 'New'}: ${describeWorker(file)}, ${timeOf(file)}`
  input.addEventListener('click', () => {
    const others = type === 'radio' ? [] : chosen[key].filter((name) => name !== file.name)
    // A second click takes back the choice of one.
    const isOff = type === 'radio' ? chosen[key].includes(file.name) : !input.checked
    chosen[key] = isOff ? others : [...others, file.name]
    input.checked = !isOff
    void show()
  })
  return element('td', {}, input)
}

const timeOf = ({ at }) => new Date(at).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })

function saveButton({ name }) {
  const button = element('button', { type: 'button', className: 'quiet', textContent: 'Save' })
  button.ariaLabel = `Save ${name} for Chrome DevTools`
  button.title = name
  button.addEventListener('click', () => saveFile(name).catch(({ message }) => ($('state').textContent = message)))
  return element('td', {}, button)
}

const cell = (textContent, className = '') => element('td', { textContent, className })

function showFiles(files) {
  const rowOf = (file) =>
    file.kind === 'profile'
      ? [choice(file, 'new', 'checkbox'), choice(file, 'base', 'checkbox')]
      : [choice(file, 'heap', 'radio'), choice(file, 'heap-base', 'radio')]
  for (const [id, kind] of [
    ['files', 'profile'],
    ['heaps', 'heap']
  ]) {
    const rows = files
      .filter((file) => file.kind === kind)
      .map((file) => {
        const release = kind === 'profile' ? [cell(file.release ?? '')] : []
        const about = [cell(timeOf(file)), cell(describeWorker(file)), ...release, cell(formatBytes(file.bytes))]
        return element('tr', {}, ...rowOf(file), ...about, saveButton(file))
      })
    const empty = element('tr', {}, element('td', { colSpan: 7, textContent: 'none yet', className: 'soft' }))
    $(id).tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [empty]))
  }
}

async function refresh() {
  const [files, status] = await Promise.all([
    ask('/files').then((response) => response.json()),
    ask('/status').then((response) => response.json())
  ])
  const slots = [...new Set(status.workers.filter(({ status }) => status === 'ready').map(({ slot }) => slot))]
  const options = [
    [ALL, 'all'],
    ...(status.trial?.control ? [[TRIAL, 'canary and control']] : []),
    ...slots.sort((a, b) => a - b).map((slot) => [String(slot), `slot ${slot}`])
  ]
  const selected = $('which').value
  $('which').replaceChildren(...options.map(([value, textContent]) => element('option', { value, textContent })))
  if (options.some(([value]) => value === selected)) $('which').value = selected
  showFiles(files)
}

async function take() {
  const which = $('which').value
  const seconds = $('seconds').valueAsNumber
  const target = which === ALL || which === TRIAL ? { [which]: true } : { slot: Number(which) }
  const files = [await command('profile', { ...target, seconds })].flat()
  const nameOf = ({ path }) => path.split('/').at(-1)
  const control = files.filter(({ role }) => role === 'control')
  chosen.new = files.filter(({ role }) => which !== TRIAL || role !== 'control').map(nameOf)
  chosen.base = which === TRIAL ? control.map(nameOf) : chosen.base.filter((name) => !chosen.new.includes(name))
  await refresh()
  await show()
}

async function open() {
  try {
    await refresh()
  } catch (error) {
    const isRefused = error.status === 401 || error.status === 403
    $('enter').hidden = !isRefused && hasToken()
    $('profiles').hidden = true
    $(isRefused ? 'refused' : 'state').textContent = error.message
    return
  }
  $('enter').hidden = true
  $('profiles').hidden = false
  await show()
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault()
  $('refused').textContent = ''
  storeToken($('token').value.trim())
  void open()
})
$('take').addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = event.target.querySelector('button')
  if (button.ariaDisabled === 'true') return
  button.ariaDisabled = 'true'
  $('taken').textContent = ''
  $('state').textContent = `Sampling for ${$('seconds').value} s …`
  await take().catch(({ message }) => {
    $('taken').textContent = message
    $('state').textContent = ''
  })
  button.ariaDisabled = null
})
addEventListener('hashchange', () => {
  chosen = readFragment()
  void open()
})

// Wide tables scroll by keyboard too.
for (const table of document.querySelectorAll('.scroll')) table.tabIndex = 0
if (hasToken()) void open()
else {
  $('enter').hidden = false
  $('token').focus()
}
