import type { Schema } from '../common/json-schema.ts'
import { scalarIssue } from '../common/scalar-check.ts'
import type { Command } from './command.ts'

/** Checks the arguments of a command. @returns all problems in one text; undefined when there is none */
export function argumentIssues({ args: { properties, required = [] } }: Command, given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return 'the arguments must be a JSON object'
  const known = Object.keys(properties)
  const remedy = known.length > 0 ? `known arguments: ${known.join(', ')}` : 'this command takes none'
  const issues = Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => `${name}: unknown argument; ${remedy}`)
  for (const [name, schema] of Object.entries(properties)) {
    const value = (given as Record<string, unknown>)[name]
    const { description = 'valid' } = schema
    if (value === undefined) {
      if (required.includes(name)) issues.push(`${name}: missing; must be ${description}`)
    } else if (scalarIssue(schema, value)) issues.push(`${name}: must be ${description}, not ${JSON.stringify(value)}`)
  }
  return issues.length > 0 ? issues.join('; ') : undefined
}

/**
 * Returns the flag of an argument on the command line, without the hyphens in front: `all-hosts` for `allHosts`. A boolean argument whose
 * description explains `false` has a flag that begins with `no-`.
 */
export function argumentFlag(argument: string, { type, description }: Schema): string {
  const name = argument.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return type === 'boolean' && String(description).startsWith('false: ') ? `no-${name}` : name
}

/**
 * Turns the words that an operator typed into arguments. Words that are not numbers stay text, also where a number is needed:
 * {@link argumentIssues} then tells what it must be. Words beyond the last argument are named `argument 3`, and so on.
 * @param flags arguments that were given by name, as texts
 */
export function argumentsFromWords(
  { positional, args }: Command,
  words: readonly string[],
  flags: Readonly<Record<string, string>> = {}
): Record<string, unknown> {
  // `why --slot 0 5`: the word is the next argument that has no flag.
  const names = positional.filter((name) => !(name in flags))
  const given = [...words.map((word, i) => [names[i] ?? `argument ${i + 1}`, word] as const), ...Object.entries(flags)]
  const typed = given.map(([name, word]) => {
    const schema = args.properties[name]
    if (schema?.type === 'boolean' && /^(true|false)$/.test(word)) return [name, word === 'true'] as const
    const isNumber = schema !== undefined && schema.type !== 'string' && /^\d+(\.\d+)?$/.test(word)
    return [name, isNumber ? Number(word) : word] as const
  })
  return Object.fromEntries(typed)
}
