import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { parseStartFlags, UsageError } from '../config/sources/flags.ts'
import { runService } from '../start.ts'
import { startHelp } from './start-help.ts'

const EXIT_USAGE = 2

/** `muster start`: turns this process into the primary. Ends the process when it cannot start. */
export async function startCommand(args: string[]): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(startHelp(args.includes('--all')))
    process.exit(0)
  }
  try {
    await runService(parseStartFlags(args))
  } catch (error) {
    const isUsage = error instanceof UsageError
    if (!isUsage && !(error instanceof StartupError)) throw error
    process.stderr.write(`muster: ${error.message}\n`)
    process.exit(isUsage ? EXIT_USAGE : EXIT_CONFIG)
  }
}
