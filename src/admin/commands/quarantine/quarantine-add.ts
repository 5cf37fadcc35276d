import { object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, text } from '../../command-schemas.ts'
import { parseQuarantined, quarantined } from './quarantined-route.ts'

export const quarantineAdd = defineCommand({
  name: 'quarantine-add',
  summary: 'refuses a route with 503 in every worker until it is lifted',
  level: 'control',
  usage: 'quarantine add ROUTE',
  positional: ['route'],
  args: argumentsOf({ route: quarantined }),
  result: object({ route: text }),
  example: { args: { route: 'POST /todos' }, result: { route: 'POST /todos' } },
  run({ quarantine }, { route }) {
    const { text: name, pattern } = parseQuarantined(route)
    quarantine.add(pattern)
    return { route: name }
  }
})
