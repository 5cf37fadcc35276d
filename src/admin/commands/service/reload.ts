import { CommandResult, defineCommand } from '../../command.ts'
import { noArguments, reloadOutcome } from '../../command-schemas.ts'

export const reload = defineCommand({
  name: 'reload',
  summary: 'replaces all workers, slot by slot, by workers that run the code on disk; waits until it has ended',
  level: 'control',
  usage: 'reload',
  positional: [],
  args: noArguments,
  result: reloadOutcome,
  example: { args: {}, result: { outcome: 'done', generation: 2, durationMs: 1800 } },
  signals: { SIGHUP: {} },
  async run(context, _args, { transport }) {
    // No caller waits for a signal: its reload is remembered and follows the one under way.
    const outcome = await context.reload(transport !== 'signal')
    return new CommandResult(outcome, { ...context.servingWorkers(), ok: outcome.outcome === 'done' })
  }
})
