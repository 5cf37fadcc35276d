import { defineCommand } from '../../command.ts'
import { noArguments, nothing } from '../../command-schemas.ts'

export const stop = defineCommand({
  name: 'stop',
  summary: 'drains all workers, then ends the service',
  level: 'control',
  usage: 'stop',
  positional: [],
  args: noArguments,
  result: nothing,
  example: { args: {}, result: null },
  signals: { SIGTERM: {}, SIGINT: {} },
  run(context) {
    context.stop()
    return null
  }
})
