import { array } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, journalEntry, limit, since, slot } from '../../command-schemas.ts'
import { readLatest } from './read-latest.ts'

export const journal = defineCommand({
  name: 'journal',
  summary: 'shows what happened to the service and its workers, with reasons; also when nothing runs',
  level: 'read',
  usage: 'journal [LIMIT] [--since TIME] [--slot SLOT]',
  positional: ['limit'],
  args: argumentsOf({}, { limit, since, slot }),
  result: array(journalEntry),
  example: {
    args: { since: '10m' },
    result: [{ at: '2026-01-31T12:00:00.000Z', event: 'start', pid: 4240, version: '1.0.0' }]
  },
  run: readLatest('journal'),
  runOffline: readLatest('journal')
})
