import { issueOf } from '../common/json-schema-check.ts'
import type { Command } from './registry.ts'

/** What is wrong with the arguments of a command, all of it; undefined: nothing. */
export function issuesOf(command: Command, given: unknown): string | undefined {
  const { properties } = command.args
  const required: readonly string[] = command.args.required ?? []
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return 'the arguments must be a JSON object'
  const names = Object.keys(properties)
  const faults = Object.keys(given)
    .filter((name) => !names.includes(name))
    .map((name) => `${name}: there is no such argument; there is ${names.join(', ') || 'none'}`)
  for (const [name, schema] of Object.entries(properties)) {
    const value = (given as Record<string, unknown>)[name]
    if (value === undefined ? !required.includes(name) : !issueOf(schema, value)) continue
    const { description = 'right' } = schema
    faults.push(`${name}: must be ${description}, not ${JSON.stringify(value) ?? 'nothing'}`)
  }
  return faults.length > 0 ? faults.join('; ') : undefined
}

/** The arguments that somebody typed. What is no number goes as it is: the check says what it should be. */
export function fromWords(command: Command, words: readonly string[]): Record<string, unknown> {
  const { positional, args } = command
  const given = words.map((word, i) => {
    const name = positional[i] ?? `argument ${i + 1}`
    const schema = args.properties[name]
    const isNumber = schema !== undefined && schema.type !== 'string' && /^\d+(\.\d+)?$/.test(word)
    return [name, isNumber ? Number(word) : word] as const
  })
  return Object.fromEntries(given)
}
