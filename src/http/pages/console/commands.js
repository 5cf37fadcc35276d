// The commands: dangerous ones are confirmed first, and every answer appears in the list of results.

import { $, addLine, element, formatBytes } from './page.js'
import { describeReload } from './rollout-view.js'
import { DEFAULT_LEVEL_LABEL, invalidateSettings, markSent, refreshSettings } from './settings-view.js'

const PROFILE_SECONDS = 5
const REVOKE_MS = 60_000 // by then the browser has saved the file

let fetchWithToken
let desiredWorkers

/**
 * @param fetchFunction like `fetch`, with the operator's token
 * @param desired returns the desired number of workers
 */
export function connectCommands(fetchFunction, desired) {
  fetchWithToken = fetchFunction
  desiredWorkers = desired
}

export async function messageOf(response) {
  const body = await response.json().catch(() => ({}))
  return body.message ?? `the service answered ${response.status}`
}

/**
 * Runs a command.
 * @returns its answer, also when the command failed
 * @throws Error when the service refused the command
 */
async function command(name, args) {
  const response = await fetchWithToken(`/commands/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(args)
  })
  const answer = await response.json().catch(() => ({}))
  if (!('result' in answer)) throw new Error(answer.message ?? `the service answered ${response.status}`)
  return answer
}

/** By command: what the operator confirms; a falsy value needs no confirmation. */
const WARNINGS = {
  stop: () => 'The service drains and ends. The console cannot start it again.',
  scale: ({ workers }) =>
    workers < desiredWorkers() && `The number of workers decreases: ${workers} in place of ${desiredWorkers()}.`,
  heap: ({ slot }) =>
    `A new worker takes slot ${slot}; the old one leaves. The file contains all of its memory, secrets included.`,
  'settings-set': ({ key, value }) =>
    key === 'maintenance' && value && 'Every route of your app answers 503 until you turn this off.'
}

let resolveAnswer = () => {}

function answerQuestion() {
  if (!$('confirm').open) resolveAnswer($('confirm').returnValue === 'yes')
}

function confirmed(warning) {
  answerQuestion() // the event of the previous question comes a moment after its dialog has closed, maybe not yet
  $('question').textContent = `${warning} Go on?`
  $('confirm').returnValue = 'no'
  $('confirm').showModal()
  return new Promise((resolve) => {
    resolveAnswer = resolve
  })
}

/** Runs a command after a confirmation where one is needed, and shows its result. */
export async function runCommand(name, args, button) {
  if (button.ariaDisabled === 'true') return
  const warning = WARNINGS[name]?.(args)
  if (warning && !(await confirmed(warning))) return
  const changesSetting = name === 'settings-set' || name === 'log-level'
  if (changesSetting) invalidateSettings()
  button.ariaDisabled = 'true'
  await showResult(name, args)
  button.ariaDisabled = null
  if (changesSetting) await showSettings()
}

async function showResult(name, args) {
  const values = Object.values(args).map((value) => value ?? DEFAULT_LEVEL_LABEL)
  const title = [name, ...values].join(' ')
  const line = addLine($('results'), new Date(), `${title} …`)
  const show = (text, ok) => {
    line.lastChild.textContent = `${title}: ${text}`
    line.className = ok ? 'done' : 'refused'
  }
  try {
    const { ok, result, missing } = await command(
      name,
      name === 'profile' ? { ...args, seconds: PROFILE_SECONDS } : args
    )
    const notReached = missing.map(({ slot, why }) => `; slot ${slot}: ${why}`)
    show(describeResult(result) + notReached.join(''), ok)
    if (result?.path) await offerFile(result, line)
  } catch (error) {
    show(error.message, false)
  }
}

function describeResult(result) {
  if (result === null || typeof result !== 'object') return 'done'
  if (result.outcome) return describeReload(result)
  if (result.path) return `${formatBytes(result.bytes)} in ${result.path}`
  const { values: _, ...others } = result
  return Object.entries(others)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

/** Saves a file of the service, and adds a button that saves it again. */
async function offerFile({ path }, line) {
  const name = path.split('/').at(-1)
  await saveFile(name)
  const button = element('button', { type: 'button', className: 'quiet', textContent: 'Save again' })
  button.setAttribute('aria-label', `Save again: ${name}`)
  button.addEventListener('click', () =>
    saveFile(name).catch(({ message }) => {
      button.textContent = message
    })
  )
  line.append(button)
}

async function saveFile(name) {
  const response = await fetchWithToken(`/files/${name}`)
  if (!response.ok) throw new Error(await messageOf(response))
  const link = element('a', { href: URL.createObjectURL(await response.blob()), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS)
}

export const showSettings = () =>
  refreshSettings(command, (args, button) => void runCommand('settings-set', args, button))

$('confirm').addEventListener('close', answerQuestion)
for (const button of document.querySelectorAll('button[data-command]')) {
  button.addEventListener('click', () => void runCommand(button.dataset.command, {}, button))
}
$('scale').addEventListener('submit', (event) => {
  event.preventDefault()
  markSent($('workers'))
  void runCommand('scale', { workers: $('workers').valueAsNumber }, event.target.querySelector('button'))
})
$('log-level').addEventListener('submit', (event) => {
  event.preventDefault()
  markSent($('level'))
  const level = $('level').value
  const button = event.target.querySelector('button')
  if (level) void runCommand('log-level', { level }, button)
  else void runCommand('settings-set', { key: 'logLevel', value: null }, button)
})
