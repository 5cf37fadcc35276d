import { Ajv, type ErrorObject } from 'ajv'
import formats from 'ajv-formats'
import type { Properties, Schema } from './json-schema.ts'

/** Schemas are not checked against the meta-schema: compiling that takes longer than compiling all of ours. */
const options = { strict: false, meta: false, validateSchema: false, addUsedSchema: false }
const ajv = new Ajv(options)
formats.default(ajv)
const coercing = new Ajv({ ...options, allErrors: true, coerceTypes: true })

export interface Issue {
  /** Completes the sentence "the value …": `must be integer`. */
  message: string
  /** The part of the value that has the issue, as a JSON pointer; empty: the whole value. */
  instancePath: string
  /** The keyword of the schema that failed. */
  keyword: string
}

/**
 * Validates a value. A schema is compiled at its first use and found again by its identity.
 * @returns the first issue; undefined when the value fits
 * @throws Error for an invalid schema
 */
export function issueOf(schema: Schema, value: unknown): Issue | undefined {
  const validate = ajv.compile(schema)
  if (validate(value)) return undefined
  // With anyOf, the issues of each choice come first; the last one says that no choice fits.
  return toIssue(validate.errors!.at(-1)!)
}

/**
 * Converts the texts in `value` to the types of their properties, and sets the defaults of missing properties, in place.
 * Only the schemas of properties that are present are compiled: compiling all of the environment's takes 50 ms.
 * @returns all issues
 */
export function coerceTo(properties: Properties, value: Record<string, unknown>): Issue[] {
  const present = Object.fromEntries(Object.keys(value).map((name) => [name, properties[name]!]))
  const validate = coercing.compile({ type: 'object', properties: present })
  const issues = validate(value) ? [] : validate.errors!.map(toIssue)
  for (const [name, rule] of Object.entries(properties)) {
    if (!(name in value) && 'default' in rule) value[name] = rule.default
  }
  return issues
}

const toIssue = ({ message = 'does not fit', instancePath, keyword }: ErrorObject): Issue => ({
  message: message.replace('NOT', 'not'),
  instancePath,
  keyword
})
