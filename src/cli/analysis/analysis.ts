import type { Screen } from '../output/table.ts'

/** A command that reads files which `profile` and `heap` have written. It needs no service, and runs in this process. */
export interface Analysis {
  readonly usage: string
  /** Starts with a verb. */
  readonly summary: string
  readonly example: string
  /**
   * Reads the files of each argument; several files of one argument are one side.
   * @throws Error that says what is wrong with a file
   */
  run(sides: readonly (readonly string[])[]): Promise<AnalysisResult>
}

export interface AnalysisResult {
  /** What `--json` prints. */
  readonly result: unknown
  /** The same for people. */
  text(screen: Screen): string
}

/** The number of rows that people see; `--json` prints all. */
export const MAX_ROWS = 20

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** The words after the name of the command: `A` and `B` of `profile compare A B`. */
export const argumentsOfUsage = ({ usage }: Pick<Analysis, 'usage'>): string[] =>
  usage.split(' ').filter((word) => /^[A-Z]/.test(word))
