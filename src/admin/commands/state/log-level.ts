import { oneOf } from '../../../common/json-schema.ts'
import { LOG_LEVELS } from '../../../common/log-levels.ts'
import { defineCommand } from '../../command.ts'
import { argumentsOf, settings } from '../../command-schemas.ts'
import { setSetting } from './settings-set.ts'

export const logLevel = defineCommand({
  name: 'log-level',
  summary: 'sets the log level of the workers of every host',
  level: 'control',
  usage: 'log-level LEVEL',
  positional: ['level'],
  args: argumentsOf({ level: { ...oneOf(...LOG_LEVELS), description: `one of ${LOG_LEVELS.join(', ')}` } }),
  result: settings,
  example: { args: { level: 'debug' }, result: { version: 4, values: { logLevel: 'debug' } } },
  run: (context, { level }) => setSetting(context, { key: 'logLevel', value: level })
})
