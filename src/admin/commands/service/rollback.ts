import { CommandResult, defineCommand } from '../../command.ts'
import { noArguments, reloadOutcome } from '../../command-schemas.ts'

export const rollback = defineCommand({
  name: 'rollback',
  summary: 'ends the reload under way and goes back to the release before; waits until it has ended',
  level: 'control',
  usage: 'rollback',
  positional: [],
  args: noArguments,
  result: reloadOutcome,
  example: {
    args: {},
    result: { outcome: 'failed', generation: 2, durationMs: 9000, why: 'an operator rolled it back' }
  },
  async run(context) {
    const outcome = await context.rollback()
    return new CommandResult(outcome, { ...context.servingWorkers(), ok: outcome.outcome === 'failed' })
  }
})
