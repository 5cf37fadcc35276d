import { type ParseArgsConfig, parseArgs } from 'node:util'
import { BenchError, type Command, type Flags } from './command.ts'
import { growth } from './growth.ts'
import { overhead } from './overhead.ts'
import { profile } from './profile/profile.ts'
import { reach } from './reach.ts'
import { reload } from './reload.ts'
import { scheduling } from './scheduling.ts'
import { simulate } from './simulate/simulate.ts'
import { state } from './state.ts'
import { throughput } from './throughput.ts'

const commands: Readonly<Record<string, Command>> = {
  reach,
  growth,
  simulate,
  profile,
  throughput,
  overhead,
  reload,
  scheduling,
  state
}
const byDefault = 'reach'

function help(): string {
  const lines = ['npm run bench -- [subcommand] [--flag value …]', '']
  for (const [name, command] of Object.entries(commands)) {
    lines.push(`${name}${name === byDefault ? ' (default)' : ''}: ${command.summary}`)
    for (const [flag, option] of Object.entries(command.options)) {
      const byItself = option.default === undefined ? '' : ` (default ${option.default})`
      lines.push(`  --${flag.padEnd(12)} ${option.help}${byItself}`)
    }
    for (const [flag, what] of Object.entries(command.switches ?? {})) lines.push(`  --${flag.padEnd(12)} ${what}`)
  }
  return lines.join('\n')
}

function parse(command: Command, args: string[]): Flags {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } }
  for (const [flag, { type, default: byItself }] of Object.entries(command.options)) {
    options[flag] = byItself === undefined ? { type } : { type, default: byItself }
  }
  for (const flag of Object.keys(command.switches ?? {})) options[flag] = { type: 'boolean' }
  const { positional } = command
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: positional !== undefined })
    if (positionals.length > 1) throw new Error(`What is ${positionals[1]}?`)
    return { ...values, ...(positional !== undefined && { [positional]: positionals[0] }) } as Flags
  } catch (error) {
    throw new BenchError(`${(error as Error).message}\n\n${help()}`)
  }
}

async function main(argv: string[]): Promise<void> {
  const named = argv[0] !== undefined && !argv[0].startsWith('-')
  const name = named ? String(argv[0]) : byDefault
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw new BenchError(`No subcommand is called ${name}.\n\n${help()}`)
  const flags = parse(command, named ? argv.slice(1) : argv)
  if (flags.help) console.log(help())
  else await command.run(flags)
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof BenchError ? `bench: ${error.message}` : error)
    process.exit(1)
  }
)
