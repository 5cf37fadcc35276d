import { parseArgs } from 'node:util'

/** An error that the user of the bench can correct. It is printed without a stack. */
export class BenchError extends Error {}

/** A Redis that answers. */
export interface RunningRedis {
  readonly url: string
  readonly version: string
}

/** The settings of a run, from the command line. Each scenario has its own defaults. */
export interface Settings {
  /** Every contestant is measured once in each round. */
  readonly rounds: number
  /** Length of one measurement. */
  readonly seconds: number
  /** Connections at a time. */
  readonly connections: number
  /** Worker processes of each server. */
  readonly workers: number
}

/** What a scenario gets to work with. */
export interface Context {
  readonly settings: Settings
  /** The names that `--only` selects, or all. @throws BenchError for an unknown name */
  select<Name extends string>(names: readonly Name[]): Name[]
  /** A further option of the scenario by its name; undefined when it was not given. */
  option(name: string): string | undefined
  /** Starts a Redis for this run, or uses the one that `--redis` names. */
  redis(): Promise<RunningRedis>
  /** A folder for this run only. */
  readonly folder: string
  /** Whether `--write` asks to replace pictures in docs/images. */
  readonly write: boolean
}

/** One measured value per name, of one contestant in one round. All reports are made of these. */
export interface Sample {
  /** The table that the sample belongs to, for example a kind of load. */
  readonly table: string
  /** The row of the table: the contestant. */
  readonly subject: string
  readonly values: Readonly<Record<string, number>>
  /** Failures by kind; empty when every response was a 200. */
  readonly failures?: Readonly<Record<string, number>>
}

/** One question that the bench answers. */
export interface Scenario {
  readonly summary: string
  readonly defaults: Partial<Settings>
  /** Further options with their help text. */
  readonly options?: Readonly<Record<string, string>>
  /** The names that `--only` can select. */
  readonly names?: readonly string[]
  /** @returns the report as Markdown and the samples it was made from */
  run(context: Context): Promise<{ report: string; samples: readonly Sample[] }>
}

const LIMITS: Record<keyof Settings, { fallback: number; max: number; help: string }> = {
  rounds: { fallback: 5, max: 100, help: 'rounds; every contestant is measured once in each' },
  seconds: { fallback: 4, max: 600, help: 'length of one measurement' },
  connections: { fallback: 64, max: 4096, help: 'connections at a time' },
  workers: { fallback: 2, max: 256, help: 'worker processes of each server' }
}

/** The help text of a scenario. */
export function helpOf(name: string, { summary, defaults, options = {}, names }: Scenario): string {
  const numbers = Object.entries(LIMITS).map(([flag, { fallback, help }]) => {
    return [flag, `${help} (default ${defaults[flag as keyof Settings] ?? fallback})`] as const
  })
  const flags = [
    ...numbers,
    ...(names ? [['only', `comma-separated, of ${names.join(', ')}`] as const] : []),
    ...Object.entries(options),
    ['redis', 'URL of a Redis to write to, instead of one started for the run'] as const,
    ['json', 'also write every sample to this file'] as const,
    ['write', 'also draw the pictures of docs/images/'] as const
  ]
  return [`${name}: ${summary}`, ...flags.map(([flag, help]) => `  --${flag.padEnd(12)} ${help}`)].join('\n')
}

/** The parsed command line of a scenario. */
export interface Flags extends Omit<Context, 'redis' | 'folder'> {
  readonly help: boolean
}

/** Parses the flags of a scenario. @throws BenchError that names what is wrong */
export function parseFlags(scenario: Scenario, args: string[]): Flags {
  const texts = [...Object.keys(LIMITS), 'only', 'redis', 'json', ...Object.keys(scenario.options ?? {})]
  const options = Object.fromEntries(texts.map((flag) => [flag, { type: 'string' as const }]))
  let values: Record<string, string | boolean | undefined>
  try {
    const switches = { help: { type: 'boolean', short: 'h' }, write: { type: 'boolean' } } as const
    values = parseArgs({ args, options: { ...options, ...switches } }).values as typeof values
  } catch (error) {
    throw new BenchError((error as Error).message)
  }
  const text = (name: string) => (typeof values[name] === 'string' && values[name] !== '' ? values[name] : undefined)
  const count = (flag: keyof Settings): number => {
    const { fallback, max } = LIMITS[flag]
    const value = Number(text(flag) ?? scenario.defaults[flag] ?? fallback)
    if (Number.isInteger(value) && value >= 1 && value <= max) return value
    throw new BenchError(`--${flag} must be a whole number from 1 to ${max}, not ${String(values[flag])}`)
  }
  return {
    settings: {
      rounds: count('rounds'),
      seconds: count('seconds'),
      connections: count('connections'),
      workers: count('workers')
    },
    select(names) {
      const asked = text('only')?.split(',')
      const unknown = asked?.find((name) => !names.some((known) => known === name))
      if (unknown !== undefined) throw new BenchError(`--only: ${unknown} is not one of ${names.join(', ')}`)
      return names.filter((name) => asked?.includes(name) ?? true)
    },
    option: text,
    write: values.write === true,
    help: values.help === true
  }
}
