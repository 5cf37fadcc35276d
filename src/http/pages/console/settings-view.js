// The settings: one field each. A field shows the value in force, unless the operator has typed something that is not sent.

import { $, element } from './page.js'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
export const DEFAULT_LEVEL_LABEL = 'as LOG_LEVEL says'

const inputValue = (input) => (input.type === 'checkbox' ? input.checked : input.value)
/** The value of each field that is in force or was sent. Any other value is the operator's draft. */
const knownValues = new WeakMap()

/** Records that the value of a field is in force or was sent. */
export const markSent = (input) => knownValues.set(input, inputValue(input))

/**
 * Shows the value in force, unless the field contains a draft. The text of a field that has the focus is selected again, so
 * that what the operator types next replaces the new value as it would have replaced the old one.
 */
export function showValue(input, value) {
  const shown = inputValue(input)
  if (knownValues.has(input) && knownValues.get(input) !== shown) return
  if (input.type === 'checkbox') input.checked = value
  else input.value = typeof value === 'string' ? value : JSON.stringify(value)
  if (inputValue(input) !== shown && document.activeElement === input) input.select?.()
  markSent(input)
}

/** Counts requests for the settings and changes of them, to recognise an answer that is out of date. */
let version = 0

/** Call it when a change of a setting is sent: answers to earlier requests are then out of date. */
export function invalidateSettings() {
  version++
}

/**
 * Asks for all settings and shows them.
 * @param command runs an admin command
 * @param set changes a setting; called with the arguments of `settings-set` and the button
 */
export async function refreshSettings(command, set) {
  version++
  const ownVersion = version
  const answer = await command('settings-get', {}).catch(() => undefined)
  if (ownVersion !== version) return
  for (const [key, value] of Object.entries(answer?.result.values ?? {})) {
    if (key === 'logLevel') showValue($('level'), value ?? '')
    else showValue($(`setting-${key}`) ?? createField(key, value, set), value)
  }
}

/** @returns the input of the new field */
function createField(key, value, set) {
  const id = `setting-${key}`
  const isFlag = typeof value === 'boolean'
  const input = element('input', { id, type: isFlag ? 'checkbox' : 'text' })
  const button = element('button', { type: 'submit', textContent: 'Set' })
  button.setAttribute('aria-label', `Set ${key}`)
  const form = element('form', {}, element('label', { htmlFor: id, textContent: key }), input, button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    markSent(input)
    set(isFlag ? { key, value: input.checked } : { key, text: input.value }, button)
  })
  $('settings').append(form)
  return input
}

const option = (value, textContent = value) => element('option', { value, textContent })
$('level').append(option('', DEFAULT_LEVEL_LABEL), ...LEVELS.map((level) => option(level)))
