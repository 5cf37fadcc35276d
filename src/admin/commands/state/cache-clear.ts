import { object } from '../../../common/json-schema.ts'
import { CommandResult, defineCommand } from '../../command.ts'
import { count, noArguments } from '../../command-schemas.ts'

export const cacheClear = defineCommand({
  name: 'cache-clear',
  summary: 'empties the caches of all workers of every host',
  level: 'control',
  usage: 'cache-clear',
  positional: [],
  args: noArguments,
  result: object({ workers: count, unanswered: count }),
  example: { args: {}, result: { workers: 4, unanswered: 0 } },
  async run(context) {
    const { unanswered, ...report } = await context.requestWorker('cache-clear', {})
    const ok = report.missing.length === 0 && unanswered === 0
    return new CommandResult({ workers: report.acks.length, unanswered }, { ...report, ok })
  }
})
