import { array, object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, count, nameOf, text } from '../../command-schemas.ts'

export const sessionsList = defineCommand({
  name: 'sessions-list',
  summary: 'lists the sessions of a user on all hosts',
  level: 'control',
  usage: 'sessions list USER',
  positional: ['user'],
  args: argumentsOf({ user: nameOf('a user') }),
  result: array(object({ handle: text, createdAt: count, idleLeftMs: { type: 'integer' } })),
  example: {
    args: { user: 'ada' },
    result: [{ handle: 'q3J0p2c8', createdAt: 1769860800000, idleLeftMs: 1_800_000 }]
  },
  run: (context, { user }) => context.requestWorker('sessions-list', { user })
})
