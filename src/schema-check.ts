import { Ajv, type ErrorObject } from 'ajv'
import formats from 'ajv-formats'
import type { Schema } from './schema.ts'

/** Schemas are not checked themselves: compiling the schema of schemas takes longer than all of ours. */
const options = { strict: false, meta: false, validateSchema: false, addUsedSchema: false }
const ajv = new Ajv(options)
formats.default(ajv)
const coercing = new Ajv({ ...options, allErrors: true, coerceTypes: true, useDefaults: true })

export interface Fault {
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
export function faultOf(schema: Schema, value: unknown): Fault | undefined {
  const validate = ajv.compile(schema)
  if (validate(value)) return undefined
  // Behind the faults of each choice comes that none of them fits.
  return faultLike(validate.errors!.at(-1)!)
}

/** Makes of texts what the schema says, and sets its defaults, in place. @returns all faults */
export function coerceTo(schema: Schema, value: object): Fault[] {
  const validate = coercing.compile(schema)
  return validate(value) ? [] : validate.errors!.map(faultLike)
}

const faultLike = ({ message = 'does not fit', instancePath, keyword }: ErrorObject): Fault => ({
  message: message.replace('NOT', 'not'),
  instancePath,
  keyword
})
