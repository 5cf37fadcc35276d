import { parseArgs } from 'node:util'
import type { Command } from '../admin/command.ts'
import { argumentIssues, argumentsFromWords } from '../admin/command-arguments.ts'
import { registry } from '../admin/registry.ts'
import { nearestName } from '../common/nearest.ts'
import { UsageError } from '../config/sources/flags.ts'
import { LOCAL, verbsOf } from './help.ts'

const OPTIONS = {
  json: { type: 'boolean' },
  watch: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  'run-dir': { type: 'string' },
  config: { type: 'string' },
  'env-file': { type: 'string', multiple: true }
} as const

/** The flags, and the words before, between and after them. @throws UsageError for a flag that does not exist */
export function parseCommandLine(args: string[]) {
  const { values, positionals, tokens } = parseArgs({
    allowPositionals: true,
    strict: false,
    tokens: true,
    // parseArgs takes the "-1" of `scale -1` for an option: it gets a minus sign (U+2212) instead of the hyphen.
    args: args.map((arg) => (/^-\d+$/.test(arg) ? `\u2212${arg.slice(1)}` : arg)),
    options: OPTIONS
  })
  for (const token of tokens) if (token.kind === 'option') checkFlag(token.name, token.rawName, token.value)
  const words = positionals.map((word) => word.replace(/^\u2212(?=\d+$)/, '-'))
  const isHelp = words[0] === 'help'
  return {
    words: isHelp ? words.slice(1) : words,
    json: values.json === true,
    isWatching: values.watch === true,
    wantsHelp: isHelp || values.help === true,
    wantsVersion: values.version === true,
    sources: {
      variables: values['run-dir'] === undefined ? {} : { RUN_DIR: String(values['run-dir']) },
      configFile: values.config as string | undefined,
      envFiles: values['env-file'] as string[] | undefined
    }
  }
}

/** @param flag as written, with its hyphens */
function checkFlag(name: string, flag: string, value: string | undefined): void {
  if (!Object.hasOwn(OPTIONS, name)) {
    const nearest = nearestName(name, Object.keys(OPTIONS))
    const remedy = nearest ? `, did you mean --${nearest}?` : ': `muster --help` lists the flags'
    throw new UsageError(`unknown flag ${flag}${remedy}`)
  }
  const takesValue = OPTIONS[name as keyof typeof OPTIONS].type === 'string'
  if (takesValue && (!value || value.startsWith('-'))) throw new UsageError(`${flag} needs a value: ${flag} PATH`)
  if (!takesValue && value !== undefined) throw new UsageError(`${flag} takes no value, not ${JSON.stringify(value)}`)
}

/**
 * Finds the command that the first word, or the first two, name: "settings get" is the command `settings-get`.
 * @returns undefined for a command that needs no service, and for no words
 * @throws UsageError for an unknown command
 */
export function findCommand(words: string[]): { command: Command; words: string[] } | undefined {
  for (const length of [2, 1]) {
    const command = registry.find(words.slice(0, length).join('-'))
    if (command) return { command, words: words.slice(length) }
  }
  const all = [...registry.commands, ...LOCAL].map((command) => verbsOf(command))
  const [first = '', second = ''] = words
  if (first === '' || all.some((verbs) => verbs.length === 1 && verbs[0] === first)) return undefined
  const group = all.filter(([word]) => word === first).map((verbs) => verbs.join(' '))
  if (group.length > 0) throw unknownCommand(words.slice(0, 2).join(' '), group, second !== '')
  throw unknownCommand(first, [...all.map((verbs) => verbs.join(' ')), 'help'], true)
}

function unknownCommand(name: string, known: string[], isWord: boolean): UsageError {
  if (!isWord) return new UsageError(`'${name}' needs another word: ${known.map((text) => `'${text}'`).join(' or ')}`)
  // A beginning counts more than letters: `stat` means `status`, not `start`.
  const begun = name.length > 1 ? known.find((text) => text.startsWith(name)) : undefined
  const nearest = begun ?? nearestName(name, known)
  const remedy = nearest ? `, did you mean '${nearest}'?` : ': `muster --help` lists all commands'
  return new UsageError(`unknown command '${name}'${remedy}`)
}

/** @returns the arguments that the words stand for @throws UsageError when they do not fit the command */
export function readArguments(command: Command, words: string[]): Record<string, unknown> {
  const args = argumentsFromWords(command, words)
  const issues = argumentIssues(command, args)
  if (issues !== undefined) throw new UsageError(`${issues}\nusage: muster ${command.usage}`)
  return args
}
