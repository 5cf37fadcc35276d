import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, diagnosticFile, slot } from '../../command-schemas.ts'

const DEFAULT_SECONDS = 5
const MAX_SECONDS = 60

export const profile = defineCommand({
  name: 'profile',
  summary: 'takes a CPU profile of a worker while it serves: a .cpuprofile file in RUN_DIR',
  level: 'control',
  usage: 'profile SLOT [SECONDS]',
  positional: ['slot', 'seconds'],
  args: argumentsOf(
    { slot },
    {
      seconds: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: MAX_SECONDS,
        description: `a number of seconds, up to ${MAX_SECONDS}; default: ${DEFAULT_SECONDS}`
      }
    }
  ),
  result: diagnosticFile,
  example: {
    args: { slot: 0, seconds: 10 },
    result: { slot: 0, pid: 4242, path: '/run/muster/profile-0-4242-20260131T120000000Z.cpuprofile', bytes: 183_404 }
  },
  async run(context, { slot, seconds = DEFAULT_SECONDS }) {
    const file = await context.profile(slot, seconds * 1000)
    return new CommandResult(file, { acks: [ackOf(file)] })
  }
})
