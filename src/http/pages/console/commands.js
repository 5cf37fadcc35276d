// The commands: destructive ones are confirmed first, and every answer appears in the list of results.

import { confirmed } from './confirm.js'
import { formatBytes } from './model/units.js'
import { $, element, reasonNodes, timeElement } from './page.js'
import { command, fetchWithToken, messageOf } from './stream.js'
import { describeReload } from './views/rollout-view.js'
import { invalidateSettings, markSent, refreshSettings } from './views/settings-view.js'

const PROFILE_SECONDS = 5
const REVOKE_MS = 60_000 // by then the browser has saved the file
const MAX_RESULTS = 10

let desiredWorkers = () => 0

/** @param desired returns the desired number of workers */
export function connectCommands(desired) {
  desiredWorkers = desired
}

/** Runs a command after a confirmation where one is needed, and shows its result. */
export async function runCommand(name, args, button) {
  if (button.ariaDisabled === 'true') return
  if (!(await confirmed(name, args, { desired: desiredWorkers() }))) return
  if (name === 'settings-set') invalidateSettings()
  button.ariaDisabled = 'true'
  await showResult(name, args)
  button.ariaDisabled = null
  if (name === 'settings-set') await showSettings()
}

const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value))

async function showResult(name, args) {
  const title = [name, ...Object.values(args).map(shown)].join(' ')
  const body = element('div', {}, `${title} …`)
  const line = element('li', {}, timeElement(new Date()), body)
  const list = $('results')
  list.prepend(line)
  while (list.children.length > MAX_RESULTS) list.lastElementChild.remove()
  $('results-panel').hidden = false
  const show = (text, ok) => {
    body.replaceChildren(...reasonNodes(`${title}: ${text}`))
    line.className = ok ? 'done' : 'refused'
  }
  try {
    const { ok, result, missing } = await command(
      name,
      name === 'profile' ? { ...args, seconds: PROFILE_SECONDS } : args
    )
    const notReached = missing.map(({ slot, why }) => `; slot ${slot}: ${why}`)
    show(describeResult(result) + notReached.join(''), ok)
    if (result?.path) await offerFile(result, body)
  } catch (error) {
    show(error.message, false)
  }
}

function describeResult(result) {
  if (result === null || typeof result !== 'object') return 'done'
  if (result.outcome && 'generation' in result) return describeReload(result)
  if (result.path) return `${formatBytes(result.bytes)} in ${result.path}`
  const { values: _, ...others } = result
  return Object.entries(others)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

/** Saves a file of the service, and adds a button that saves it again. */
async function offerFile({ path }, body) {
  const name = path.split('/').at(-1)
  await saveFile(name)
  const button = element('button', {
    type: 'button',
    className: 'quiet',
    textContent: 'Save again',
    ariaLabel: `Save again: ${name}`
  })
  button.addEventListener('click', () =>
    saveFile(name).catch(({ message }) => {
      button.textContent = message
    })
  )
  body.append(button)
  const [kind] = name.split('-')
  if (kind === 'report') return
  const href = `${$('enter').getAttribute('action')}/profiles#${kind === 'heap' ? 'heap' : 'new'}=${name}`
  body.append(' ', element('a', { href, textContent: kind === 'heap' ? 'Constructors' : 'Flame graph' }))
}

async function saveFile(name) {
  const response = await fetchWithToken(`/files/${name}`)
  if (!response.ok) throw new Error(await messageOf(response))
  const link = element('a', { href: URL.createObjectURL(await response.blob()), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS)
}

export const showSettings = () => refreshSettings((args, button) => void runCommand('settings-set', args, button))

for (const button of document.querySelectorAll('button[data-command]')) {
  button.addEventListener('click', () => void runCommand(button.dataset.command, {}, button))
}
$('scale').addEventListener('submit', (event) => {
  event.preventDefault()
  markSent($('workers-wanted'))
  const text = $('workers-wanted').value.trim()
  const workers = /^\d+$/.test(text) ? Number(text) : text
  void runCommand('scale', { workers }, event.target.querySelector('button'))
})
$('quarantine-add').addEventListener('submit', async (event) => {
  event.preventDefault()
  await runCommand(
    'quarantine-add',
    { route: $('quarantine-route').value.trim() },
    event.target.querySelector('button')
  )
})
