import { parseArgs } from 'node:util'
import { checkRounds, type Round, readHistory, writeHistory } from '../history/history-file.ts'
import { type ChaosResult, describeChaos, missingKinds, runChaos } from './chaos.ts'
import { SETUPS, type SetupName } from './setups.ts'

const USAGE = `Usage: npm run chaos -- [--seconds N] [--seed N] [--redis single,replicas,cluster,sentinel] [--out FILE]
       npm run chaos -- --check FILE`
const MAX_SECONDS = 86_400
const text = { type: 'string' } as const

interface Flags {
  seconds: number
  seed: number
  setups: SetupName[] | undefined
  out: string | undefined
  check: string | undefined
}

/** @throws Error that names every problem of the arguments */
function parseFlags(args: string[]): Flags {
  const options = { seconds: text, seed: text, redis: text, out: text, check: text } as const
  const { values } = parseArgs({ args, options })
  const problems: string[] = []
  const whole = (name: 'seconds' | 'seed', fallback: number, max: number) => {
    const number = Number(values[name] ?? fallback)
    if (Number.isInteger(number) && number >= 1 && number <= max) return number
    problems.push(`--${name} must be a whole number from 1 to ${max}, it is "${values[name]}"`)
    return fallback
  }
  const setups = values.redis?.split(',')
  const unknown = setups?.filter((setup) => !Object.hasOwn(SETUPS, setup)) ?? []
  if (unknown.length > 0) problems.push(`--redis takes ${Object.keys(SETUPS).join(', ')}, not "${unknown.join()}"`)
  if (values.check !== undefined && Object.keys(values).length > 1) problems.push('--check takes no other option')
  const flags = {
    seconds: whole('seconds', 120, MAX_SECONDS),
    seed: whole('seed', 1 + (Date.now() % 1_000_000), 1_000_000),
    setups: setups as SetupName[] | undefined,
    out: values.out,
    check: values.check
  }
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return flags
}

async function run({ seconds, seed, setups, out, check }: Flags): Promise<ChaosResult> {
  if (check !== undefined) {
    const rounds = readHistory(check)
    return { rounds, faults: new Map(), failures: [], violations: checkRounds(rounds) }
  }
  // A file that cannot be written is to be known before the run.
  if (out !== undefined) await writeHistory(out, [])
  console.log(`seed ${seed}, ${seconds} s`)
  const record = out === undefined ? undefined : (round: Round) => writeHistory(out, [round], 'a')
  return runChaos({ seconds, seed, log: console.log, ...(setups && { setups }), ...(record && { record }) })
}

async function main(args: string[]): Promise<number> {
  let flags: Flags
  try {
    flags = parseFlags(args)
  } catch (error) {
    console.error(`chaos: ${(error as Error).message}\n${USAGE}`)
    return 2
  }
  const result = await run(flags)
  console.log(describeChaos(result).join('\n'))
  if (result.violations.length > 0) return 1
  const isIncomplete = result.failures.length > 0 || missingKinds(result.rounds).length > 0
  return flags.check === undefined && isIncomplete ? 2 : 0
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error)
    process.exit(2)
  }
)
