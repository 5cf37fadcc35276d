import { array, object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { count, noArguments, quarantineView, text } from '../../command-schemas.ts'

const suspectView = object({
  route: text,
  deaths: count,
  usualShare: { type: 'number', minimum: 0, maximum: 1 },
  evidence: { type: 'number' }
})

export const quarantineList = defineCommand({
  name: 'quarantine-list',
  summary: 'shows the routes that are refused because they end workers, and those under suspicion',
  level: 'read',
  usage: 'quarantine list',
  positional: [],
  args: noArguments,
  result: object({ routes: array(quarantineView), suspects: array(suspectView) }),
  example: {
    args: {},
    result: {
      routes: [
        {
          route: 'POST /todos',
          by: 'deaths',
          state: 'quarantined',
          why: 'in flight at 3 deaths of workers, and 0.4 % of the time otherwise',
          since: '2026-01-31T12:00:00.000Z',
          retrySeconds: 24
        }
      ],
      suspects: [{ route: 'GET /report', deaths: 2, usualShare: 0.1, evidence: 1.6 }]
    }
  },
  run: ({ quarantine }) => ({ routes: quarantine.list(), suspects: quarantine.suspects() })
})
