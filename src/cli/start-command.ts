import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { type OptionConfig, parseStartFlags, UsageError } from '../config/sources/flags.ts'
import { runService } from '../start.ts'
import { devHelp, startHelp, variablesHelp } from './help/start-help.ts'

const EXIT_USAGE = 2

/** Flags of `muster dev` that `muster start` does not have. */
const DEV_FLAGS: OptionConfig = { watch: { type: 'string', multiple: true }, inspect: { type: 'boolean' } }

/** What suits code that is being written: one worker, which is replaced at once. Stronger than everything but flags. */
const DEV_VARIABLES = { WORKERS: '1', CANARY_TIME: '0', LAME_DUCK: '0', DRAIN_TIMEOUT: '2000', MAX_LOOP_DELAY: '0' }
/** A worker at a breakpoint is silent, does not hang, and may take long to start. */
const INSPECTED_VARIABLES = { HEARTBEAT_TIMEOUT: '0', BOOT_TIMEOUT: '3600000' }
const INSPECTOR_PORT = 9229

/** `muster start`: turns this process into the primary. Ends the process when it cannot start. */
export async function startCommand(args: string[]): Promise<void> {
  await runCommand(args, startHelp, () => runService(parseStartFlags(args)))
}

/** `muster dev`: as `muster start`, with one worker that is replaced whenever its code changes. */
export async function devCommand(args: string[]): Promise<void> {
  await runCommand(args, devHelp, () => {
    const flags = parseStartFlags(args, DEV_FLAGS)
    const inspect = inspectorAddress(flags.further.inspect)
    const variables = { ...DEV_VARIABLES, ...(inspect && INSPECTED_VARIABLES), ...flags.variables }
    const watch = (flags.further.watch ?? []) as string[]
    return runService({ ...flags, variables }, { watch, inspect })
  })
}

async function runCommand(args: string[], help: () => string, run: () => Promise<unknown>): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(args.includes('--all') ? variablesHelp() : help())
    process.exit(0)
  }
  try {
    await run()
  } catch (error) {
    const isUsage = error instanceof UsageError
    if (!isUsage && !(error instanceof StartupError)) throw error
    process.stderr.write(`muster: ${error.message}\n`)
    process.exit(isUsage ? EXIT_USAGE : EXIT_CONFIG)
  }
}

/** @param value of `--inspect`: a port, HOST:PORT, or true without a value @throws UsageError */
function inspectorAddress(value: unknown): { host: string; port: number } | undefined {
  if (value === undefined) return undefined
  if (value === true) return { host: '127.0.0.1', port: INSPECTOR_PORT }
  const [, host = '127.0.0.1', digits] = /^(?:(.+):)?(\d{1,5})$/.exec(String(value)) ?? []
  if (digits === undefined || Number(digits) > 65535) {
    throw new UsageError(`--inspect must be a port or HOST:PORT, such as --inspect=${INSPECTOR_PORT}, not ${value}`)
  }
  return { host, port: Number(digits) }
}
