import { object, oneOf, type Static } from '../../common/json-schema.ts'
import { LOG_LEVELS } from '../../common/log-levels.ts'

/** The service's own settings: their values, and what counts when they were never set. */
export const SERVICE_SETTINGS = object({
  maintenance: { type: 'boolean', default: false, description: 'every route answers 503 MAINTENANCE' },
  banner: { type: 'string', maxLength: 500, default: '', description: 'text on top of the page' },
  logLevel: {
    anyOf: [...oneOf(...LOG_LEVELS).anyOf, { type: 'null' }],
    default: null,
    description: 'lowest level that workers log; null: LOG_LEVEL'
  }
})
type ServiceSettings = Static<typeof SERVICE_SETTINGS>

/** The type of a setting: exact for the service's own ones; declared ones have the type that `declare` returns. */
export type ValueOf<K extends string> = K extends keyof ServiceSettings ? ServiceSettings[K] : unknown
