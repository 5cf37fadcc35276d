import { CommandResult, defineCommand } from '../../command.ts'
import { noArguments } from '../../command-schemas.ts'

export const ping = defineCommand({
  name: 'ping',
  summary: 'checks whether the service is there and which workers answer',
  level: 'read',
  usage: 'ping',
  positional: [],
  args: noArguments,
  result: { type: 'string', const: 'pong' },
  example: { args: {}, result: 'pong' },
  run: async (context) => new CommandResult('pong', await context.pingWorkers())
})
