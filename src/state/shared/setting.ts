import { deepFreeze } from '../../common/deep-freeze.ts'
import type { Schema } from '../../common/json-schema.ts'
import { type Issue, issueOf } from './json-schema-check.ts'

/** One setting: its schema, its default and its current value, all of them frozen. */
export class Setting {
  readonly schema: Schema
  readonly #fallback: unknown
  #value: unknown
  /** The stored JSON; undefined where nothing is stored. */
  #json: string | undefined

  constructor(schema: Schema, fallback: unknown) {
    this.schema = schema
    this.#fallback = deepFreeze(structuredClone(fallback))
    this.#value = this.#fallback
  }

  get value(): unknown {
    return this.#value
  }

  /**
   * Takes over what is stored, or the default where nothing valid is stored.
   * @returns `isChanged`: whether the value is another one; `isInvalid`: whether the stored JSON was rejected
   */
  update(json: string | undefined): { isChanged: boolean; isInvalid: boolean } {
    if (json === this.#json) return { isChanged: false, isInvalid: false }
    const before = JSON.stringify(this.#value)
    const stored = json === undefined ? undefined : parseJson(json)
    const isInvalid = json !== undefined && this.issueOf(stored) !== undefined
    this.#json = json
    this.#value = json === undefined || isInvalid ? this.#fallback : deepFreeze(stored)
    return { isChanged: JSON.stringify(this.#value) !== before, isInvalid }
  }

  /** @returns why a value does not fit the schema, such as "must be a boolean"; undefined where it fits */
  issueOf(value: unknown): string | undefined {
    const issue = issueOf(this.schema, value)
    return issue && describeIssue(issue, this.schema)
  }
}

/** @returns undefined where the text is not JSON */
function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function describeIssue({ message, instancePath }: Issue, schema: Schema): string {
  const { anyOf } = schema as { anyOf?: { const?: unknown; type?: string }[] }
  const choices = anyOf?.map((choice) => (choice.type === 'null' ? 'null' : choice.const))
  if (choices?.every((choice) => choice !== undefined)) return `must be one of ${choices.join(', ')}`
  return instancePath ? `at ${instancePath} ${message}` : message
}
