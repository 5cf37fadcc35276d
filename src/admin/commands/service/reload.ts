import { durationOf, shareOf } from '../../argument-units.ts'
import { CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, duration, flag, reloadOutcome, share } from '../../command-schemas.ts'

export const reload = defineCommand({
  name: 'reload',
  summary: 'replaces all workers, slot by slot, by workers that run the code on disk; waits until it has ended',
  level: 'control',
  usage: 'reload [--canary SHARE] [--for TIME] [--no-verdict] [--force]',
  positional: [],
  args: argumentsOf(
    {},
    {
      canary: share,
      for: duration,
      verdict: {
        type: 'boolean',
        description: 'false: the first worker of the new release is not judged by its traffic'
      },
      force: flag('reloads although another host failed with the release, or Redis is away')
    }
  ),
  result: reloadOutcome,
  example: { args: { canary: '10%', for: '5m' }, result: { outcome: 'done', generation: 2, durationMs: 1800 } },
  signals: { SIGHUP: {} },
  async run(context, { canary, for: time, verdict, force = false }, { transport }) {
    // No caller waits for a signal: its reload is remembered and follows the one under way.
    const request = {
      ...(canary !== undefined && { share: shareOf(canary) }),
      ...(time !== undefined && { forMs: durationOf(time) }),
      ...(verdict !== undefined && { verdict })
    }
    const outcome = await context.reload(transport !== 'signal', request, force)
    return new CommandResult(outcome, { ...context.servingWorkers(), ok: outcome.outcome === 'done' })
  }
})
