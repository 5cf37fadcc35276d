import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Command } from '../admin/command.ts'
import { argumentFlag, argumentIssues, argumentsFromWords } from '../admin/command-arguments.ts'
import { registry } from '../admin/registry.ts'
import { nearestName } from '../common/nearest.ts'
import { type OptionConfig, UsageError } from '../config/sources/flags.ts'
import { LOCAL, verbsOf } from './help/help.ts'

/** Flags of every command. */
export const GLOBAL_OPTIONS = {
  json: { type: 'boolean' },
  watch: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  'run-dir': { type: 'string' },
  config: { type: 'string' },
  'env-file': { type: 'string', multiple: true }
} as const

/** Every argument of a command can be given as a flag: `why --slot 0`. By the name of the flag: the argument, and its type. */
const ARGUMENTS = new Map(
  registry.commands.flatMap(({ args }) =>
    Object.entries(args.properties).map(([name, schema]) => {
      return [argumentFlag(name, schema), { name, type: schema.type === 'boolean' ? 'boolean' : 'string' }] as const
    })
  )
)
const OPTIONS: OptionConfig = {
  ...Object.fromEntries([...ARGUMENTS].map(([flag, { type }]) => [flag, { type }])),
  ...GLOBAL_OPTIONS
}

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
  const words = positionals.map(restoreHyphen)
  const isHelp = words[0] === 'help'
  const shown = isHelp ? words.slice(1) : words
  for (const token of tokens) if (token.kind === 'option') checkFlag(token.name, token.rawName, token.value, shown)
  const given = Object.entries(values).filter(([name]) => ARGUMENTS.has(name) && name !== 'env-file')
  const envFiles = values['env-file'] as string[] | undefined
  const isUpgrade = shown[0] === 'upgrade'
  return {
    words: shown,
    /** Arguments by name. */
    flags: {
      ...Object.fromEntries(
        given.map(([flag, value]) => {
          const text = flag.startsWith('no-') ? 'false' : restoreHyphen(String(value))
          return [ARGUMENTS.get(flag)!.name, text]
        })
      ),
      // It changes the service, which it does not name.
      ...(isUpgrade && envFiles && { envFile: resolve(envFiles.at(-1)!) }),
      ...(isUpgrade && values.node !== undefined && { node: resolve(String(values.node)) })
    } as Record<string, string>,
    json: values.json === true,
    isWatching: values.watch === true,
    wantsHelp: isHelp || values.help === true,
    wantsVersion: values.version === true,
    sources: {
      variables: values['run-dir'] === undefined ? {} : { RUN_DIR: String(values['run-dir']) },
      configFile: values.config as string | undefined,
      envFiles: isUpgrade ? undefined : envFiles
    }
  }
}

const restoreHyphen = (word: string) => word.replace(/^\u2212(?=\d+$)/, '-')

/** @param flag as written, with its hyphens @param words the command to which the flag belongs */
function checkFlag(name: string, flag: string, value: string | undefined, words: string[]): void {
  const properties = lookUp(words)?.command.args.properties ?? {}
  const own = Object.entries(properties).map(([argument, schema]) => argumentFlag(argument, schema))
  if (!Object.hasOwn(GLOBAL_OPTIONS, name) && !own.includes(name)) {
    if (ARGUMENTS.has(name)) {
      const named = words.join(' ')
      throw new UsageError(`'${named}' has no flag ${flag}: \`muster help ${named}\` lists its flags`)
    }
    const nearest = nearestName(name, [...own, ...Object.keys(GLOBAL_OPTIONS)])
    const remedy = nearest ? `, did you mean --${nearest}?` : ': `muster --help` lists the flags'
    throw new UsageError(`unknown flag ${flag}${remedy}`)
  }
  const takesValue = OPTIONS[name]?.type === 'string'
  const kind = own.includes(name) ? 'VALUE' : 'PATH'
  if (takesValue && (!value || value.startsWith('-'))) throw new UsageError(`${flag} needs a value: ${flag} ${kind}`)
  if (!takesValue && value !== undefined) throw new UsageError(`${flag} takes no value, not ${JSON.stringify(value)}`)
}

/** The command that the first word, or the first two, name, and the words after it. */
function lookUp(words: string[]): { command: Command; words: string[] } | undefined {
  for (const length of [2, 1]) {
    const command = registry.find(words.slice(0, length).join('-'))
    if (command) return { command, words: words.slice(length) }
  }
  return undefined
}

/**
 * Finds the command that the first word, or the first two, name: "settings get" is the command `settings-get`.
 * @returns undefined for a command that needs no service, and for no words
 * @throws UsageError for an unknown command
 */
export function findCommand(words: string[]): { command: Command; words: string[] } | undefined {
  const found = lookUp(words)
  if (found) return found
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

/** @returns the arguments that words and flags stand for @throws UsageError when they do not fit the command */
export function readArguments(
  command: Command,
  words: string[],
  flags: Record<string, string> = {}
): Record<string, unknown> {
  const args = argumentsFromWords(command, words, flags)
  const issues = argumentIssues(command, args)
  if (issues === undefined) return args
  const named = issues.replace(/\bargument (\d+)(?=: unknown)/g, (text, place: string) => {
    return `${text}, ${JSON.stringify(words[Number(place) - 1])}`
  })
  throw new UsageError(`${named}\nusage: muster ${command.usage}`)
}
