import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import type { Schema } from './schema.ts'

/** Of Fastify's own: what is checked here is no request. It is asked for a fault, so the first one is enough. */
const ajv = new Ajv({ strict: false, meta: false, validateSchema: false, addUsedSchema: false })
formats.default(ajv)

export interface Fault {
  /** Completes "the value …". */
  message: string
  /** Where, as a JSON pointer; empty: all of it. */
  instancePath: string
}

/**
 * What is wrong with a value; undefined: nothing. A schema is compiled when it is first used, and known by its identity.
 * @throws Error for what is no schema
 */
export function faultOf(schema: Schema, value: unknown): Fault | undefined {
  const validate = ajv.compile(schema)
  if (validate(value)) return undefined
  // Behind the faults of each choice comes that none of them fits.
  const { message = 'does not fit', instancePath } = validate.errors!.at(-1)!
  return { message: message.replace('NOT', 'not'), instancePath }
}
