import { defineCommand } from '../../command.ts'
import { CommandError } from '../../command-error.ts'
import { aboutRoute, parseQuarantined } from './quarantined-route.ts'

export const quarantineLift = defineCommand({
  name: 'quarantine-lift',
  summary: 'serves a quarantined route again, and forgets the deaths that led to it',
  usage: 'quarantine lift ROUTE',
  ...aboutRoute,
  run({ quarantine }, { route }) {
    const { name, pattern } = parseQuarantined(route)
    if (quarantine.lift(pattern)) return { route: name }
    const routes = quarantine.list().map((entry) => entry.route)
    const remedy = routes.length > 0 ? `quarantined are ${routes.join(', ')}` : 'no route is'
    throw new CommandError(`route: ${name} is not quarantined: ${remedy}`, 404)
  }
})
