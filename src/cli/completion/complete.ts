import type { Command } from '../../admin/command.ts'
import { argumentFlag } from '../../admin/command-arguments.ts'
import { type CommandRegistry, registry } from '../../admin/registry.ts'
import type { Schema } from '../../common/json-schema.ts'
import { environmentSchema } from '../../config/environment-schema.ts'
import { flagOf, isSecretFlag } from '../../config/sources/flags.ts'
import { FAULT_TEXTS, FAULTS } from '../../drill/observations.ts'
import { ANALYSES, findAnalysis } from '../analysis/analyses.ts'
import type { GLOBAL_OPTIONS } from '../command-line.ts'
import { LOCAL, verbsOf } from '../help/help.ts'
import { SHELLS } from './shells.ts'

/** A word that may come next, and what it is. */
export type Candidate = readonly [word: string, description: string]

/** Stands for the names of files, which the shell knows better. */
export const FILES = ':files'

/** What a running service knows. */
export interface Known {
  slots(): Promise<number[]>
  settings(): Promise<string[]>
}

type Flags = Record<string, { description: string; values: () => Promise<Candidate[]>; takesValue: boolean }>

const none = async (): Promise<Candidate[]> => []
const files = async (): Promise<Candidate[]> => [[FILES, '']]
const flag = (description: string, values = none, takesValue = false) => ({ description, values, takesValue })

/** Flags of every command, by name. */
const GLOBAL: Record<keyof typeof GLOBAL_OPTIONS, Flags[string]> = {
  json: flag('prints the answer as JSON'),
  watch: flag('shows the status every second'),
  help: flag('explains the command'),
  version: flag('prints the version'),
  'run-dir': flag('RUN_DIR of the service', files, true),
  config: flag('config file', files, true),
  'env-file': flag('file with variables', files, true)
}
const INIT: Flags = {
  typescript: flag('an app in TypeScript'),
  javascript: flag('an app in JavaScript'),
  name: flag('name in package.json', none, true)
}
const DRILL: Flags = {
  requests: flag('file of requests, as JSON', files, true),
  faults: flag('these faults only', async () => FAULTS.map((name) => [name, FAULT_TEXTS[name]] as const), true),
  seconds: flag('begins no fault that would end later', none, true),
  'max-requests': flag('sends no more requests', none, true),
  html: flag('also writes a web page', files, true),
  force: flag('also where other machines reach the service')
}
const DEV: Flags = {
  inspect: flag('a debugger attaches to the worker'),
  watch: flag('a file or folder to watch', files, true)
}

/**
 * Completes a command line.
 * @param words what follows `muster`; the last one is incomplete, and empty at the beginning of a word
 */
export async function complete(
  words: readonly string[],
  known: Known,
  commands: CommandRegistry = registry
): Promise<Candidate[]> {
  const { before, current, prefix } = split(words)
  const { verbs, values } = readWords(before, commands)
  const flags = flagsOf(verbs, known, commands)
  const previous = prefix ? prefix.slice(2, -1) : before.at(-1)?.replace(/^--/, '')
  const awaited = prefix || before.at(-1)?.startsWith('--') ? flags[previous ?? ''] : undefined
  const candidates = awaited?.takesValue
    ? await awaited.values()
    : current.startsWith('-')
      ? Object.entries(flags).map(([name, { description }]) => [`--${name}`, description] as const)
      : await nextWords(verbs, values, known, commands)
  return candidates
    .filter(([word]) => word === FILES || word.startsWith(current))
    .map(([word, text]) => [word === FILES ? word : `${prefix}${word}`, text])
}

/** Bash makes three words of `--slot=0`, other shells one. @returns the flag before the value with its `=`, in `prefix` */
function split(words: readonly string[]): { before: string[]; current: string; prefix: string } {
  const before = words.slice(0, -1)
  const current = words.at(-1) ?? ''
  if (current === '=') return { before, current: '', prefix: '' }
  if (before.at(-1) === '=') return { before: before.slice(0, -1), current, prefix: '' }
  const [, prefix = ''] = /^(--[a-z-]+=)/.exec(current) ?? []
  return { before, current: current.slice(prefix.length), prefix }
}

/** Separates the words of the command from the values after it, without flags and their values. */
function readWords(before: readonly string[], { commands }: CommandRegistry): { verbs: string[]; values: number } {
  const words: string[] = []
  for (const [i, word] of before.entries()) {
    const isValue = /^--(run-dir|config|env-file)$/.test(before[i - 1] ?? '')
    if (!word.startsWith('-') && !isValue) words.push(word)
  }
  const isTwo = findAnalysis(words) !== undefined
  const length =
    isTwo || commands.some((command) => verbsOf(command).length > 1 && verbsOf(command)[0] === words[0]) ? 2 : 1
  return { verbs: words.slice(0, length), values: Math.max(0, words.length - length) }
}

const find = (verbs: string[], { commands }: CommandRegistry): Command | undefined =>
  commands.find((command) => verbsOf(command).join(' ') === verbs.join(' '))

function flagsOf(verbs: string[], known: Known, commands: CommandRegistry): Flags {
  const [first = ''] = verbs
  const { watch, version, ...shared } = GLOBAL
  if (first === '') return { ...shared, version }
  if (first === 'init') return { ...INIT, help: shared.help }
  if (first === 'drill') return { ...DRILL, ...shared }
  if (first === 'start' || first === 'dev') {
    const { json: _, 'run-dir': __, ...own } = shared
    return { ...own, ...variableFlags(), ...(first === 'dev' && DEV) }
  }
  const command = find(verbs, commands)
  const own = Object.entries(command?.args.properties ?? {}).map(([name, schema]) => {
    const description = String(schema.description ?? '').replace(/^(true|false): /, '')
    return [
      argumentFlag(name, schema),
      flag(description, () => valuesOf(name, schema, known), schema.type !== 'boolean')
    ]
  })
  return { ...Object.fromEntries(own), ...shared, ...(first === 'status' && { watch }) }
}

function variableFlags(): Flags {
  const entries = Object.entries(environmentSchema.properties).filter(([name]) => !isSecretFlag(name))
  return Object.fromEntries(
    entries.map(([name, schema]) => {
      const isPath = /_FILE$|_DIR$|^TLS_(CERT|KEY)$|^APP$/.test(name)
      const values = async () => (isPath ? files() : constantsOf(schema))
      return [flagOf(name).slice(2), flag(schema.description, values, true)]
    })
  )
}

/** The words that may follow: those of a command, or the values of its next argument. */
async function nextWords(
  verbs: string[],
  values: number,
  known: Known,
  commands: CommandRegistry
): Promise<Candidate[]> {
  const [first = ''] = verbs
  const all = [...commands.commands, ...LOCAL]
  if (first === '' || first === 'help') {
    const more: Candidate[] = [first === '' ? ['help', 'explains a command'] : ['variables', 'explains every setting']]
    const named = all.map((command) => [verbsOf(command)[0]!, command.summary] as const)
    return [...new Map([...named, ...more])]
  }
  if (first === 'init' || first === 'start' || first === 'dev') return files()
  if (first === 'completion') return SHELLS.map((shell) => [shell, `a script for ${shell}`])
  if (findAnalysis(verbs)) return files()
  const command = find(verbs, commands)
  const name = command?.positional[values]
  if (command) {
    const given = name === undefined ? [] : await valuesOf(name, command.args.properties[name] ?? {}, known)
    return values === 0 ? [...given, ...analysesAfter(first)] : given
  }
  const group = all.filter((one) => verbsOf(one)[0] === first && verbs.length === 1)
  return group.flatMap((one) =>
    verbsOf(one)
      .slice(1)
      .map((word) => [word, one.summary] as const)
  )
}

/** The second words of analyses that begin with the name of a command. */
const analysesAfter = (first: string): Candidate[] =>
  ANALYSES.filter((one) => verbsOf(one)[0] === first).map((one) => [verbsOf(one)[1]!, one.summary])

async function valuesOf(name: string, schema: Schema, known: Known): Promise<Candidate[]> {
  if (name === 'slot') return (await known.slots()).map((slot) => [String(slot), 'slot of a worker'])
  if (name === 'key') return (await known.settings()).map((setting) => [setting, 'setting'])
  if (name === 'since') return ['10m', '1h', '1d'].map((time) => [time, 'ago'])
  return constantsOf(schema)
}

/** The texts that fit a schema, if they are listed there. */
const constantsOf = ({ anyOf = [] }: Schema): Candidate[] =>
  (anyOf as Schema[]).flatMap((one) => (typeof one.const === 'string' ? [[one.const, ''] as const] : []))
