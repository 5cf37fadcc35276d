import { array } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, journalEntry, limit } from '../../command-schemas.ts'

export const audit = defineCommand({
  name: 'audit',
  summary: 'shows which commands were given, by whom, and how they ended; also when nothing runs',
  level: 'read',
  usage: 'audit [LIMIT]',
  positional: ['limit'],
  args: argumentsOf({}, { limit }),
  result: array(journalEntry),
  example: {
    args: { limit: 1 },
    result: [{ at: '2026-01-31T12:00:00.000Z', event: 'command answered', command: 'reload', ok: true }]
  },
  run: ({ auditLog }, args) => auditLog.latest(args),
  runOffline: ({ auditLog }, args) => auditLog.latest(args)
})
