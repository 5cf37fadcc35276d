import { defineCommand } from '../../command.ts'
import { anyObject, noArguments } from '../../command-schemas.ts'

export const config = defineCommand({
  name: 'config',
  summary: 'shows every configuration variable in force; secrets are hidden',
  level: 'read',
  usage: 'config',
  positional: [],
  args: noArguments,
  result: anyObject,
  example: { args: {}, result: { PORT: 3000, WORKERS: 4 } },
  run: ({ variables }) => variables
})
