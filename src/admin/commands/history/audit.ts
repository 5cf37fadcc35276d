import { array } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, journalEntry, limit, since, slot } from '../../command-schemas.ts'
import { readLatest } from './read-latest.ts'

export const audit = defineCommand({
  name: 'audit',
  summary: 'shows which commands were given, by whom, and how they ended; also when nothing runs',
  level: 'read',
  usage: 'audit [LIMIT] [--since TIME] [--slot SLOT]',
  positional: ['limit'],
  args: argumentsOf({}, { limit, since, slot }),
  result: array(journalEntry),
  example: {
    args: { since: '10m' },
    result: [{ at: '2026-01-31T12:00:00.000Z', event: 'command answered', command: 'reload', ok: true }]
  },
  run: readLatest('auditLog'),
  runOffline: readLatest('auditLog')
})
