import { defineCommand } from '../../command.ts'
import { aboutRoute, parseQuarantined } from './quarantined-route.ts'

export const quarantineAdd = defineCommand({
  name: 'quarantine-add',
  summary: 'refuses a route with 503 in every worker until it is lifted',
  usage: 'quarantine add ROUTE',
  ...aboutRoute,
  run({ quarantine }, { route }) {
    const { name, pattern } = parseQuarantined(route)
    quarantine.add(pattern)
    return { route: name }
  }
})
