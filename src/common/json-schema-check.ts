import { Ajv, type ErrorObject } from 'ajv'
import formats from 'ajv-formats'
import type { Properties, Schema } from './json-schema.ts'

/** Schemas are not checked themselves: compiling the schema of schemas takes longer than all of ours. */
const options = { strict: false, meta: false, validateSchema: false, addUsedSchema: false }
const ajv = new Ajv(options)
formats.default(ajv)
const coercing = new Ajv({ ...options, allErrors: true, coerceTypes: true })

export interface Issue {
  /** Completes "the value …". */
  message: string
  /** Where, as a JSON pointer; empty: all of it. */
  instancePath: string
  keyword: string
}

/**
 * What is wrong with a value; undefined: nothing. A schema is compiled when it is first used, and known by its identity.
 * @throws Error for what is no schema
 */
export function issueOf(schema: Schema, value: unknown): Issue | undefined {
  const validate = ajv.compile(schema)
  if (validate(value)) return undefined
  // Behind the faults of each choice comes that none of them fits.
  return faultLike(validate.errors!.at(-1)!)
}

/**
 * Makes of texts what the properties say, and sets the defaults of those that are not there, in place. Only what is there is
 * compiled: for all of a long list that takes 50 ms.
 * @returns all faults
 */
export function coerceTo(properties: Properties, value: Record<string, unknown>): Issue[] {
  const given = Object.fromEntries(Object.keys(value).map((name) => [name, properties[name]!]))
  const validate = coercing.compile({ type: 'object', properties: given })
  const faults = validate(value) ? [] : validate.errors!.map(faultLike)
  for (const [name, rule] of Object.entries(properties))
    if (!(name in value) && 'default' in rule) value[name] = rule.default
  return faults
}

const faultLike = ({ message = 'does not fit', instancePath, keyword }: ErrorObject): Issue => ({
  message: message.replace('NOT', 'not'),
  instancePath,
  keyword
})
