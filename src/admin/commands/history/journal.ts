import { array } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, journalEntry, limit } from '../../command-schemas.ts'

export const journal = defineCommand({
  name: 'journal',
  summary: 'shows what happened to the service and its workers, with reasons; also when nothing runs',
  level: 'read',
  usage: 'journal [LIMIT]',
  positional: ['limit'],
  args: argumentsOf({}, { limit }),
  result: array(journalEntry),
  example: {
    args: { limit: 1 },
    result: [{ at: '2026-01-31T12:00:00.000Z', event: 'start', pid: 4240, version: '1.0.0' }]
  },
  run: ({ journal }, args) => journal.latest(args),
  runOffline: ({ journal }, args) => journal.latest(args)
})
