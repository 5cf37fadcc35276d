import { defineCommand } from '../../command.ts'
import { argumentsOf, nameOf, settings } from '../../command-schemas.ts'

export const settingsGet = defineCommand({
  name: 'settings-get',
  summary: 'shows the settings that all workers share, or one of them',
  level: 'read',
  usage: 'settings get [KEY]',
  positional: ['key'],
  args: argumentsOf({}, { key: nameOf('a setting') }),
  result: settings,
  example: { args: { key: 'banner' }, result: { version: 3, values: { banner: 'hello' } } },
  run: (context, { key }) => context.requestWorker('settings-get', key === undefined ? {} : { key })
})
