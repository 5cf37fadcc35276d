import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import type { Schema } from '../../common/json-schema.ts'

/** Schemas are not checked against the meta-schema: compiling that takes longer than compiling all of ours. */
const ajv = new Ajv({ strict: false, meta: false, validateSchema: false, addUsedSchema: false })
formats.default(ajv)

export interface Issue {
  /** Completes the sentence "the value …": `must be integer`. */
  message: string
  /** The part of the value that has the issue, as a JSON pointer; empty: the whole value. */
  instancePath: string
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
  const { message = 'does not fit', instancePath } = validate.errors!.at(-1)!
  return { message: message.replace('NOT', 'not'), instancePath }
}
