// The settings: one form each, generated from its schema. A field shows the value in force, unless it has a draft of the operator.

import { choiceLabel, fieldOf, settingFrom, shownAs } from '../model/setting-fields.js'
import { $, element } from '../page.js'
import { command } from '../stream.js'

const CHOICE_NAMES = { logLevel: { null: 'as LOG_LEVEL says' } }

/** The last values that the service sent. */
let values = {}
export const settingValue = (key) => values[key]

/** The field of each setting: its input and what `fieldOf` says. */
const fields = new Map()
/** The value of each input that is in force or was sent. Any other value is the operator's draft. */
const knownValues = new WeakMap()

const inputValue = (input) => (input.type === 'checkbox' ? input.checked : input.value)

/** Records that the value of an input is in force or was sent. */
export const markSent = (input) => knownValues.set(input, inputValue(input))

/**
 * Shows the value in force, unless the input contains a draft. The text of an input that has the focus is selected again, so
 * that what the operator types next replaces the new value as it would have replaced the old one.
 */
export function showValue(input, shownValue) {
  const shown = inputValue(input)
  if (knownValues.has(input) && knownValues.get(input) !== shown) return
  if (input.type === 'checkbox') input.checked = shownValue
  else input.value = shownValue
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
 * Asks for all settings and their schemas, and shows them.
 * @param set changes a setting; called with the arguments of `settings-set` and the button
 */
export async function refreshSettings(set) {
  version++
  const ownVersion = version
  const answer = await command('settings-get', { schemas: true }).catch(() => undefined)
  if (ownVersion !== version || !answer) return
  const { schemas = {} } = answer.result
  values = answer.result.values
  for (const [key, value] of Object.entries(values)) {
    if (!fields.has(key)) fields.set(key, createField(key, fieldOf(schemas[key], value), set))
    const { input, field } = fields.get(key)
    showValue(input, shownAs(field, value))
  }
}

function createInput(id, { kind, choices, attributes }, names) {
  if (kind === 'select') {
    const options = choices.map((value) =>
      element('option', { value: JSON.stringify(value), textContent: choiceLabel(value, names) })
    )
    return element('select', { id }, ...options)
  }
  if (kind === 'textarea' || kind === 'json')
    return element('textarea', { id, rows: 2, spellcheck: kind !== 'json', ...attributes })
  return element('input', { id, type: kind, required: kind === 'number', ...attributes })
}

function createField(key, field, set) {
  const id = `setting-${key}`
  const input = createInput(id, field, CHOICE_NAMES[key])
  const problem = element('p', { className: 'refused', role: 'alert' })
  const button = element('button', {
    type: 'submit',
    className: 'quiet',
    textContent: 'Save',
    ariaLabel: `Save ${key}`
  })
  const label = element('label', { htmlFor: id }, element('b', { textContent: key }))
  const hint = element('p', { id: `${id}-hint`, className: 'soft', textContent: field.hint })
  input.setAttribute('aria-describedby', hint.id)
  const form = element('form', {}, label, hint, element('div', { className: 'field' }, input, button), problem)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    problem.textContent = ''
    try {
      const value = settingFrom(field, inputValue(input))
      markSent(input)
      set({ key, value }, button)
    } catch (error) {
      problem.textContent = error.message
    }
  })
  $('settings-form').append(form)
  return { input, field }
}
