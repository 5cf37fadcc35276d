import type { Schema } from './json-schema.ts'

/** The keywords with which schemas of variables and arguments limit their values. */
interface Limits {
  readonly type?: 'integer' | 'number' | 'string' | 'boolean'
  readonly const?: unknown
  readonly anyOf?: readonly Limits[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
}

/**
 * Checks a text, a number or a boolean, such as a variable or an argument, against its schema. Ajv compiles schemas to code,
 * which costs a process 40 ms and 9 MiB. The primary and the command line need no more than this.
 * @returns why the value does not fit, such as `must be integer`; undefined when it fits
 */
export function scalarIssue(schema: Schema, value: unknown): string | undefined {
  const { type, anyOf, minimum, maximum, exclusiveMinimum, minLength, maxLength, pattern } = schema as Limits
  if (type && !isOfType(type, value)) return `must be ${type}`
  if ('const' in schema && value !== schema.const) return `must be ${schema.const}`
  if (anyOf?.every((choice) => scalarIssue(choice as Schema, value))) return 'must be one of the choices'
  if (typeof value === 'number') {
    if (minimum !== undefined && value < minimum) return `must be >= ${minimum}`
    if (maximum !== undefined && value > maximum) return `must be <= ${maximum}`
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `must be > ${exclusiveMinimum}`
  }
  if (typeof value === 'string') {
    const length = [...value].length
    if (minLength !== undefined && length < minLength) return `must have at least ${minLength} characters`
    if (maxLength !== undefined && length > maxLength) return `must have at most ${maxLength} characters`
    if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return `must match ${pattern}`
  }
  return undefined
}

const isOfType = (type: NonNullable<Limits['type']>, value: unknown) =>
  type === 'integer' ? Number.isInteger(value) : typeof value === type

/** @returns the number that a text means where the schema needs one, otherwise the text itself */
export function coerceText({ type }: Schema, text: string): string | number {
  const isNumeric = (type === 'integer' || type === 'number') && text.trim() !== ''
  return isNumeric && !Number.isNaN(Number(text)) ? Number(text) : text
}
