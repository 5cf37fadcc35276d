import { object } from '../../../common/json-schema.ts'
import { CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, count, text } from '../../command-schemas.ts'

export const scale = defineCommand({
  name: 'scale',
  summary: 'sets the number of workers or a range such as 2..8, or changes it by +1 or -1; waits until they serve',
  level: 'control',
  usage: 'scale WORKERS',
  positional: ['workers'],
  args: argumentsOf({
    workers: {
      anyOf: [{ type: 'integer' }, { type: 'string', pattern: '^([+-]\\d{1,3}|auto|[^.]*\\.\\..*)$' }],
      description: 'a number of workers, a change such as +1 or -1, a range such as 2..8, or auto'
    }
  }),
  result: object({ workers: count }, { range: text }),
  example: { args: { workers: 4 }, result: { workers: 4 } },
  signals: { SIGTTIN: { workers: '+1' }, SIGTTOU: { workers: '-1' } },
  async run(context, args) {
    const result = await context.scale(args.workers)
    const report = context.servingWorkers()
    return new CommandResult(result, { ...report, ok: report.missing.length === 0 })
  }
})
