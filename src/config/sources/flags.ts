import { parseArgs } from 'node:util'
import { nearestName } from '../../common/nearest.ts'
import { environmentSchema, SECRETS } from '../environment-schema.ts'

/** The command line itself is wrong: an unknown flag, a missing value. The message has one line per issue. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The words after `muster start`. */
export interface StartFlags {
  /** The app that is named without a flag. */
  app: string | undefined
  /** Values of variables, by the name of the variable: `--redis-url x` is REDIS_URL. */
  variables: Record<string, string>
  /** `--config`: the config file; undefined: the one in the working directory, if there is one. */
  configFile: string | undefined
  /** `--env-file`, in the given order; undefined: `.env`, if there is one. */
  envFiles: string[] | undefined
  /** Values of the further flags that the command has. */
  further: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>
}

/** Flags of a command that are not variables, in the form of `parseArgs`. */
export type OptionConfig = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>

const NAMES = Object.keys(environmentSchema.properties)
/** Returns the flag of a variable: `--redis-url` for REDIS_URL. */
export const flagOf = (variable: string): string => `--${variable.toLowerCase().replaceAll('_', '-')}`
/** Whether a variable is a secret, which has no flag: every user of the machine would see it in the list of processes. */
export const isSecretFlag = (variable: string): boolean => (SECRETS as readonly string[]).includes(variable)
const VARIABLES = new Map(NAMES.map((name) => [flagOf(name).slice(2), name]))
const OPTIONS: OptionConfig = {
  ...Object.fromEntries([...VARIABLES.keys()].map((flag) => [flag, { type: 'string' as const }])),
  config: { type: 'string' },
  'env-file': { type: 'string', multiple: true }
}

/** A URL with a password before its host. */
const WITH_PASSWORD = /\/\/[^/@]*:[^@]*@/

/**
 * Parses the arguments of `muster start`. Every variable is a flag too, except secrets, which every user of the machine
 * would see in the list of processes.
 * @param further flags beside those of `muster start`; a boolean one may also have a value: `--inspect=9230`
 * @throws UsageError that names all issues
 */
export function parseStartFlags(args: string[], further: OptionConfig = {}): StartFlags {
  const options = { ...OPTIONS, ...further }
  const { values, tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  const issues = tokens.flatMap((token) =>
    token.kind === 'option' ? (issueOf(token.name, token.rawName, token.value, options) ?? []) : []
  )
  const words = tokens.flatMap((token) => (token.kind === 'positional' ? token.value : []))
  // A word behind an unknown flag may be the value of that flag.
  if (words.length > 1 && issues.length === 0)
    issues.push(`one app is served, not ${words.length}: ${words.join(', ')}`)
  if (issues.length > 0) throw new UsageError(issues.join('\n'))
  const given = Object.entries(values as Record<string, string | string[]>)
  return {
    app: words[0],
    variables: Object.fromEntries(
      given.flatMap(([flag, value]) => (VARIABLES.has(flag) ? [[VARIABLES.get(flag), String(value)]] : []))
    ),
    configFile: values.config as string | undefined,
    envFiles: values['env-file'] as string[] | undefined,
    further: Object.fromEntries(Object.keys(further).map((flag) => [flag, values[flag]]))
  }
}

/** @param flag as written, with its hyphens @returns undefined when the flag is fine */
function issueOf(name: string, flag: string, value: string | undefined, options: OptionConfig): string | undefined {
  const variable = VARIABLES.get(name)
  if (!(name in options)) {
    const nearest = nearestName(name, Object.keys(options))
    return `unknown flag ${flag}${nearest ? `, did you mean --${nearest}?` : ': `muster start --help` lists all flags'}`
  }
  if (isSecretFlag(variable ?? '') || (variable === 'REDIS_URL' && WITH_PASSWORD.test(value ?? ''))) {
    return `${flag} would show the secret in the list of processes: set ${variable}, or ${flag}-file to the path of a file`
  }
  if (options[name]?.type === 'boolean') return undefined
  if (value === undefined || value.startsWith('--')) return `${flag} needs a value`
  return undefined
}
