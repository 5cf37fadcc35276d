import { object } from '../../../common/json-schema.ts'
import { defineCommand } from '../../command.ts'
import { anyObject, argumentsOf, count, flag, nameOf } from '../../command-schemas.ts'

export const settingsGet = defineCommand({
  name: 'settings-get',
  summary: 'shows the settings that all workers share, or one of them',
  level: 'read',
  usage: 'settings get [KEY] [--schemas]',
  positional: ['key'],
  args: argumentsOf({}, { key: nameOf('a setting'), schemas: flag('adds the JSON schema of each setting') }),
  result: object({ version: count, values: anyObject }, { schemas: anyObject }),
  example: { args: { key: 'banner' }, result: { version: 3, values: { banner: 'hello' } } },
  run: (context, { key, schemas = false }) =>
    context.requestWorker('settings-get', { ...(key !== undefined && { key }), ...(schemas && { schemas }) })
})
