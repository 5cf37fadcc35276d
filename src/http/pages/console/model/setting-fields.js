// Which form field a JSON schema asks for, and how its value becomes JSON. Pure.

const LONG_TEXT = 200 // a longer text gets a field of several lines

/** @returns the possible values of a schema that lists them; undefined for other schemas */
function choicesOf({ enum: values, anyOf }) {
  if (values) return values
  const choices = anyOf?.map(({ const: value, type }) => (type === 'null' ? null : value))
  return choices?.every((value) => value !== undefined) ? choices : undefined
}

const pick = (schema, names) =>
  Object.fromEntries(
    Object.entries(names).flatMap(([name, attribute]) =>
      schema[name] === undefined ? [] : [[attribute, schema[name]]]
    )
  )

/**
 * @param schema of a setting; without one, the value tells the kind of field
 * @returns `kind` ('checkbox', 'select', 'number', 'text', 'textarea' or 'json'), `choices` of a select, `attributes` of the
 *   field, and `hint`
 */
export function fieldOf(schema, value) {
  const { type = typeof value, description: hint = '' } = schema ?? {}
  const choices = choicesOf(schema ?? {})
  if (choices) return { kind: 'select', choices, attributes: {}, hint }
  if (type === 'boolean') return { kind: 'checkbox', attributes: {}, hint }
  if (type === 'integer' || type === 'number') {
    const limits = pick(schema ?? {}, { minimum: 'min', maximum: 'max', multipleOf: 'step' })
    return { kind: 'number', attributes: { step: type === 'integer' ? 1 : 'any', ...limits }, hint }
  }
  if (type === 'string') {
    const limits = pick(schema ?? {}, { minLength: 'minLength', maxLength: 'maxLength' })
    return { kind: limits.maxLength > LONG_TEXT ? 'textarea' : 'text', attributes: limits, hint }
  }
  return { kind: 'json', attributes: {}, hint: hint || 'JSON' }
}

/** @returns what a field shows for a value */
export function shownAs({ kind }, value) {
  if (kind === 'checkbox') return value === true
  if (kind === 'select' || kind === 'json') return JSON.stringify(value)
  return String(value ?? '')
}

/** @returns the value that a field stands for @throws Error when its text is not JSON, with a remedy */
export function settingFrom({ kind }, shown) {
  if (kind === 'checkbox' || kind === 'text' || kind === 'textarea') return shown
  if (kind === 'number') return Number(shown)
  try {
    return JSON.parse(shown)
  } catch {
    throw new Error('This is not JSON: check quotes, commas and brackets.')
  }
}

/** @returns the label of a choice */
export const choiceLabel = (value, names = {}) => names[value] ?? (value === null ? 'default' : String(value))
