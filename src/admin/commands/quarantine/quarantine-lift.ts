import { object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { CommandError } from '../../command-error.ts'
import { argumentsOf, text } from '../../command-schemas.ts'
import { parseQuarantined, quarantined } from './quarantined-route.ts'

export const quarantineLift = defineCommand({
  name: 'quarantine-lift',
  summary: 'serves a quarantined route again, and forgets the deaths that led to it',
  level: 'control',
  usage: 'quarantine lift ROUTE',
  positional: ['route'],
  args: argumentsOf({ route: quarantined }),
  result: object({ route: text }),
  example: { args: { route: 'POST /todos' }, result: { route: 'POST /todos' } },
  run({ quarantine }, { route }) {
    const { text: name, pattern } = parseQuarantined(route)
    if (quarantine.lift(pattern)) return { route: name }
    const routes = quarantine.list().map((entry) => entry.route)
    const remedy = routes.length > 0 ? `quarantined are ${routes.join(', ')}` : 'no route is'
    throw new CommandError(`route: ${name} is not quarantined: ${remedy}`, 404)
  }
})
