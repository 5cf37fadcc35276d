import { array } from '../../../common/json-schema.ts'
import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { CommandError } from '../../command-error.ts'
import { argumentsOf, diagnosticFile, flag, profileFile, slot } from '../../command-schemas.ts'

const DEFAULT_SECONDS = 5
const MAX_SECONDS = 60

export const profile = defineCommand({
  name: 'profile',
  summary: 'takes a CPU profile of a worker, or of several at once, while they serve: a .cpuprofile file in RUN_DIR',
  level: 'control',
  usage: 'profile [SLOT] [SECONDS] [--all] [--trial]',
  positional: ['slot', 'seconds'],
  args: argumentsOf(
    {},
    {
      slot,
      seconds: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: MAX_SECONDS,
        description: `a number of seconds, up to ${MAX_SECONDS}; default: ${DEFAULT_SECONDS}`
      },
      all: flag('every worker that serves, at the same time'),
      trial: flag('canary and control of the reload under way, at the same time')
    }
  ),
  result: { anyOf: [diagnosticFile, array(profileFile)] },
  example: {
    args: { slot: 0, seconds: 10 },
    result: { slot: 0, pid: 4242, path: '/run/muster/profile-0-4242-20260131T120000000Z.cpuprofile', bytes: 183_404 }
  },
  async run(context, { slot, seconds = DEFAULT_SECONDS, all = false, trial = false }) {
    if (Number(slot !== undefined) + Number(all) + Number(trial) !== 1) {
      throw new CommandError('name one of slot, all and trial: `muster profile 0`, `muster profile --all`', 400)
    }
    const { files, missing } = await context.profile(slot ?? (all ? 'all' : 'trial'), seconds * 1000)
    // One worker was the only choice once, so its answer is no list.
    const result = slot === undefined ? files : files[0]
    return new CommandResult(result, { acks: files.map(ackOf), missing, ok: missing.length === 0 })
  }
})
