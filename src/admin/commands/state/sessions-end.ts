import { object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, count, nameOf } from '../../command-schemas.ts'

export const sessionsEnd = defineCommand({
  name: 'sessions-end',
  summary: "ends all of a user's sessions, or the one with this handle",
  level: 'control',
  usage: 'sessions end USER [HANDLE]',
  positional: ['user', 'handle'],
  args: argumentsOf(
    { user: nameOf('a user') },
    { handle: { ...nameOf('a session'), description: 'the handle of a session, as sessions-list shows it' } }
  ),
  result: object({ ended: count }),
  example: { args: { user: 'ada' }, result: { ended: 2 } },
  run: (context, { user, handle }) =>
    context.requestWorker('sessions-end', { user, ...(handle !== undefined && { handle }) })
})
