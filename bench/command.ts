/** Something the person who runs the bench can put right: shown as its message alone, without a stack. */
export class BenchError extends Error {}

/** One flag of a subcommand: what parseArgs needs, and the line that --help shows. */
export interface Option {
  readonly type: 'string'
  readonly default?: string
  readonly help: string
}

export type Flags = Readonly<Record<string, string | boolean | undefined>>

/** A subcommand of the bench; `run` gets the parsed flags by name and prints its report on stdout. */
export interface Command {
  readonly summary: string
  readonly options: Readonly<Record<string, Option>>
  /** Flags that are there or not, and the line that --help shows. */
  readonly switches?: Readonly<Record<string, string>>
  /** The name of a value that may follow the subcommand without a flag. */
  readonly positional?: string
  run(flags: Flags): Promise<void>
}

/** A flag's text; undefined when it was not given and has no default. */
export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A flag that must be a whole number between 1 and `most`, so that a run stays bounded. */
export function count(flags: Flags, name: string, most: number): number {
  const value = Number(text(flags, name))
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new BenchError(`--${name} must be a whole number from 1 to ${most}, not ${String(flags[name])}.`)
  }
  return value
}

/** A flag that lists some of `names`, separated by commas; all of them when it was not given. */
export function list<Name extends string>(flags: Flags, name: string, names: readonly Name[]): Name[] {
  const asked = text(flags, name)?.split(',')
  const unknown = asked?.find((entry) => !names.some((known) => known === entry))
  if (unknown !== undefined) throw new BenchError(`--${name}: ${unknown} is none of ${names.join(', ')}.`)
  return names.filter((known) => asked === undefined || asked.includes(known))
}
