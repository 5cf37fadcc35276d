import { array } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, journalEntry, limit, since, slot } from '../../command-schemas.ts'
import { readLatest } from './read-latest.ts'

export const why = defineCommand({
  name: 'why',
  summary: 'shows why workers came and went, of all slots or of one; also when nothing runs',
  level: 'read',
  usage: 'why [SLOT] [LIMIT] [--since TIME]',
  positional: ['slot', 'limit'],
  args: argumentsOf({}, { slot, limit, since }),
  result: array(journalEntry),
  example: {
    args: { slot: 0, since: '2h' },
    result: [{ at: '2026-01-31T12:00:00.000Z', event: 'exited', slot: 0, pid: 4242, why: 'SIGSEGV' }]
  },
  run: readLatest('journal'),
  runOffline: readLatest('journal')
})
