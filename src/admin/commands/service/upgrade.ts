import { CommandResult, defineCommand } from '../../command.ts'
import { CommandError } from '../../command-error.ts'
import { argumentsOf, upgradeOutcome } from '../../command-schemas.ts'

const path = { type: 'string', minLength: 1, maxLength: 4096 } as const

export const upgrade = defineCommand({
  name: 'upgrade',
  summary: 'replaces the primary and all workers, slot by slot, by those of the code on disk; waits until it has ended',
  level: 'control',
  usage: 'upgrade [--node PATH] [--env-file FILE]',
  positional: [],
  args: argumentsOf(
    {},
    {
      node: { ...path, description: 'the path of the Node.js that runs the new primary; default: the same as now' },
      envFile: {
        ...path,
        description: 'the path of a file whose variables change the configuration; default: nothing changes'
      }
    }
  ),
  result: upgradeOutcome,
  example: {
    args: {},
    result: { outcome: 'done', durationMs: 5200, pid: 4711, version: '1.0.0', node: 'v24.11.1' }
  },
  signals: { SIGUSR2: {} },
  async run(context, args, { transport }) {
    const { node, envFile } = args
    // An operator who may choose a program or a file of this machine must have access to the machine.
    if ((node !== undefined || envFile !== undefined) && transport !== 'socket') {
      throw new CommandError('node and env-file can only be given on the command line of this machine', 403)
    }
    const outcome = await context.upgrade({ node, envFile })
    return new CommandResult(outcome, { ok: outcome.outcome === 'done' })
  }
})
