import { object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { count, noArguments } from '../../command-schemas.ts'

export const promote = defineCommand({
  name: 'promote',
  summary: 'lets the reload under way continue without waiting for a verdict on its first worker',
  level: 'control',
  usage: 'promote',
  positional: [],
  args: noArguments,
  result: object({ generation: count }),
  example: { args: {}, result: { generation: 2 } },
  run: (context) => ({ generation: context.promote() })
})
