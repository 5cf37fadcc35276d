import { array, object, oneOf, type Properties, type Schema } from '../common/json-schema.ts'

/** Slots are numbered from 0. */
export const MAX_SLOT = 998

/** The arguments of a command: required ones, then optional ones. */
export const argumentsOf = <const R extends Properties, const O extends Properties = Record<never, never>>(
  required: R,
  optional?: O
) => ({ ...object(required, optional), additionalProperties: false }) as const

export const noArguments = argumentsOf({})

export const slot = {
  type: 'integer',
  minimum: 0,
  maximum: MAX_SLOT,
  description: `a number from 0 to ${MAX_SLOT}`
} as const

/** The number of entries, at most. */
export const limit = { type: 'integer', minimum: 1, maximum: 10_000, description: 'a number from 1 to 10000' } as const

/** The oldest moment of the entries. `oldestOf` reads it. */
export const since = {
  type: 'string',
  pattern: '^(\\d{1,6}[smhd]|\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?(Z|[+-]\\d\\d:\\d\\d)?)?)$',
  description: 'a duration such as 10m, 2h or 3d, or a time such as 2026-01-31T12:00'
} as const

/** A duration. `durationOf` reads it. */
export const duration = {
  type: 'string',
  pattern: '^[1-9]\\d{0,5}(ms|[smhd])$',
  description: 'a duration such as 500ms, 30s or 5m'
} as const

/** A share of connections. `shareOf` reads it. */
export const share = {
  type: 'string',
  pattern: '^(([1-9]|[1-4]\\d)([.]\\d{1,3})?|0[.]\\d{0,2}[1-9]|50)%$',
  description: 'a share of new connections from 0.001% to 50%, such as 10%'
} as const

export const nameOf = (thing: string) =>
  ({ type: 'string', minLength: 1, maxLength: 256, description: `the name of ${thing}` }) as const

/** An argument that is given or not. On the command line it is a flag without a value. */
export const flag = (what: string) => ({ type: 'boolean', description: `true: ${what}` }) as const

export const text = { type: 'string' } as const
export const count = { type: 'integer', minimum: 0 } as const
export const nothing = { type: 'null' } as const
/** An object with any names, whose values fit `value`. */
export const mapOf = (value: Schema) => ({ type: 'object', patternProperties: { '^.*$': value } }) as const
export const anyObject = mapOf({})

export const worker = object({ slot: count, pid: count })
export const settings = object({ version: count, values: anyObject })
export const journalEntry = object({ at: text, event: text }, { slot: count, why: text })
export const diagnosticFile = object({ slot: count, pid: count, path: text, bytes: count })
/** A profile that was taken together with others. */
export const profileFile = object(
  { slot: count, pid: count, generation: count, path: text, bytes: count },
  { role: oneOf('canary', 'control') }
)
export const quarantineView = object({
  route: text,
  by: oneOf('deaths', 'operator'),
  state: oneOf('quarantined', 'half-open', 'probing'),
  why: text,
  since: text,
  retrySeconds: { anyOf: [count, nothing] }
})
/** What a lingering worker waits for. */
export const waitsFor = object({ counts: mapOf(count), oldestMs: count })
const hostWorker = object({ slot: count, pid: count, generation: count, status: text })
/** A host as it announces itself to the others. */
export const host = object(
  {
    id: text,
    host: text,
    pid: count,
    release: text,
    state: text,
    desired: count,
    ageMs: count,
    workers: array(hostWorker)
  },
  { waitsFor: text }
)
export const upgradeOutcome = object(
  { outcome: oneOf('done', 'failed', 'stopped'), durationMs: count },
  { why: text, pid: count, version: text, node: text }
)
export const reloadOutcome = object(
  { outcome: oneOf('done', 'failed', 'stopped', 'held', 'refused'), generation: count, durationMs: count },
  {
    why: text,
    trial: anyObject,
    cuts: array(object({ kind: text, reason: text, count })),
    lingering: array(waitsFor),
    joined: { type: 'boolean', const: true, description: 'The reload was under way when the command came.' }
  }
)
