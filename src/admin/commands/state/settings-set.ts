import type { WorkerRequests } from '../../../ipc/messages.ts'
import { CommandResult, defineCommand } from '../../command.ts'
import type { CommandContext } from '../../command-context.ts'
import { CommandError } from '../../command-error.ts'
import { argumentsOf, nameOf, settings } from '../../command-schemas.ts'

export const settingsSet = defineCommand({
  name: 'settings-set',
  summary: 'sets a setting for every worker of every host',
  level: 'control',
  usage: 'settings set KEY VALUE',
  positional: ['key', 'text'],
  args: argumentsOf(
    { key: nameOf('a setting') },
    {
      value: { description: 'a value', secret: true },
      text: { type: 'string', description: 'the value as text', secret: true }
    }
  ),
  result: settings,
  example: { args: { key: 'banner', value: 'hello' }, result: { version: 3, values: { banner: 'hello' } } },
  run(context, { key, value, text }) {
    if (text !== undefined) return setSetting(context, { key, text })
    if (value === undefined) throw new CommandError('the value is missing: give value or text')
    return setSetting(context, { key, value })
  }
})

/** Sets a setting. Workers of this host that have not confirmed it are missing; they get it later by themselves. */
export async function setSetting(
  context: CommandContext,
  setting: WorkerRequests['settings-set']['args']
): Promise<CommandResult> {
  const { acks, missing, ...result } = await context.requestWorker('settings-set', setting)
  return new CommandResult(result, { acks, missing })
}
