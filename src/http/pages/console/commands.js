// The commands: asked first where they are dangerous, answered in the list of results.

import { $, addLine, element, mebibytes } from './page.js'
import { describe } from './rollout.js'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
const BY_CONFIG = 'as LOG_LEVEL says'
const SECONDS = 5 // of a profile

let ask
let desiredNow

/** @param fetchWithToken like `fetch` @param desired tells how many workers are wanted */
export function commandsWith(fetchWithToken, desired) {
  ask = fetchWithToken
  desiredNow = desired
}

/** Why the service did not do it. */
export async function reason(response) {
  const body = await response.json().catch(() => ({}))
  return body.message ?? `the service answered ${response.status}`
}

/** @returns the answer, also one that says that it did not go well; a refusal is thrown */
async function command(name, args) {
  const response = await ask(`/admin/commands/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(args)
  })
  const answer = await response.json().catch(() => ({}))
  if (!('result' in answer)) throw new Error(answer.message ?? `the service answered ${response.status}`)
  return answer
}

const QUESTIONS = {
  stop: () => 'The service drains and ends. Nothing here can start it again.',
  scale: ({ workers }) => workers < desiredNow() && `Fewer workers: ${workers} in place of ${desiredNow()}.`,
  heap: ({ slot }) =>
    `A new worker takes slot ${slot}; the old one leaves, and all of its memory, secrets too, is in the file.`,
  'settings-set': ({ key, value }) => key === 'maintenance' && value && 'Every route of yours answers 503 from now on.'
}

function confirmed(question) {
  $('question').textContent = `${question} Go on?`
  $('confirm').returnValue = 'no'
  $('confirm').showModal()
  return new Promise((resolve) => {
    $('confirm').addEventListener('close', () => resolve($('confirm').returnValue === 'yes'), { once: true })
  })
}

/** Does it, when it is meant, and says what came of it. */
export async function act(name, args, button) {
  if (button.ariaDisabled === 'true') return
  const question = QUESTIONS[name]?.(args)
  if (question && !(await confirmed(question))) return
  const isSetting = /^settings-set|^log-level/.test(name)
  if (isSetting) turn++
  const what = [name, ...Object.values(args).map((value) => (value === null ? BY_CONFIG : value))].join(' ')
  const line = addLine($('results'), new Date(), `${what} …`)
  const say = (text, ok) => {
    line.lastChild.textContent = `${what}: ${text}`
    line.className = ok ? 'done' : 'refused'
  }
  button.ariaDisabled = 'true'
  try {
    const { ok, result, missing } = await command(name, name === 'profile' ? { ...args, seconds: SECONDS } : args)
    const without = missing.map(({ slot, why }) => `; slot ${slot}: ${why}`)
    say(words(result) + without.join(''), ok)
    if (result?.path) await offer(result, line)
  } catch (error) {
    say(error.message, false)
  } finally {
    button.ariaDisabled = null
  }
  if (isSetting) await showSettings()
}

function words(result) {
  if (result === null || typeof result !== 'object') return 'done'
  if (result.outcome) return describe(result)
  if (result.path) return `${mebibytes(result.bytes)} in ${result.path}`
  const { values: _, ...others } = result
  return Object.entries(others)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

/** A file of the service is saved, and can be saved again. */
async function offer({ path }, line) {
  const name = path.split('/').at(-1)
  const save = async () => {
    const response = await ask(`/admin/files/${name}`)
    if (!response.ok) throw new Error(await reason(response))
    const link = element('a', { href: URL.createObjectURL(await response.blob()), download: name })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  }
  const again = element('button', { type: 'button', className: 'quiet', textContent: 'Save again' })
  again.setAttribute('aria-label', `Save again: ${name}`)
  again.addEventListener('click', () =>
    save().catch(({ message }) => {
      again.textContent = message
    })
  )
  await save()
  line.append(again)
}

// Settings: a field each, of the kind that its value is of.

/** One more with each that is asked for, and each that is sent. */
let turn = 0

export async function showSettings() {
  const own = ++turn
  const answer = await command('settings-get', {}).catch(() => undefined)
  // Something was sent meanwhile, or asked again: this answer may be of before.
  if (own !== turn) return
  for (const [key, value] of Object.entries(answer?.result.values ?? {})) {
    if (key === 'logLevel') put($('level'), value ?? '')
    else put($(`setting-${key}`) ?? setting(key, value), value)
  }
}

const contentOf = (input) => (input.type === 'checkbox' ? input.checked : input.value)
const known = new WeakMap()

/** What is in a field is in force, or was sent: it is nobody's draft any more. */
const know = (input) => known.set(input, contentOf(input))

/** Shows what is in force, where nobody has changed the field. */
export function put(input, value) {
  if (known.has(input) && known.get(input) !== contentOf(input)) return
  if (input.type === 'checkbox') input.checked = value
  else input.value = typeof value === 'string' ? value : JSON.stringify(value)
  know(input)
}

/** @returns its input */
function setting(key, value) {
  const id = `setting-${key}`
  const isFlag = typeof value === 'boolean'
  const input = element('input', { id, type: isFlag ? 'checkbox' : 'text' })
  const button = element('button', { type: 'submit', textContent: 'Set' })
  button.setAttribute('aria-label', `Set ${key}`)
  const form = element('form', {}, element('label', { htmlFor: id, textContent: key }), input, button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    know(input)
    void act('settings-set', isFlag ? { key, value: input.checked } : { key, text: input.value }, button)
  })
  $('settings').append(form)
  return input
}

for (const button of document.querySelectorAll('button[data-command]')) {
  button.addEventListener('click', () => void act(button.dataset.command, {}, button))
}
const onSubmit = (id, input, args) =>
  $(id).addEventListener('submit', (event) => {
    event.preventDefault()
    know(input)
    void act(...args(input), $(id).querySelector('button'))
  })
onSubmit('scale', $('workers'), (input) => ['scale', { workers: input.valueAsNumber }])
onSubmit('log-level', $('level'), ({ value }) =>
  value ? ['log-level', { level: value }] : ['settings-set', { key: 'logLevel', value: null }]
)
const option = (value, textContent = value) => element('option', { value, textContent })
$('level').append(option('', BY_CONFIG), ...LEVELS.map((level) => option(level)))
