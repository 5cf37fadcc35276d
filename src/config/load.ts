import { deepFreeze } from '../common/deep-freeze.ts'
import { StartupError } from '../common/errors.ts'
import { coerceTo, type Issue } from '../common/json-schema-check.ts'
import type { CertificatePair } from '../ipc/messages.ts'
import { type Config, toConfig } from './configuration.ts'
import { environmentSchema, FROM_FILES, isHidden, type Variables } from './environment-schema.ts'
import type { Origins } from './sources/gather-environment.ts'
import { readSystemd } from './systemd-environment.ts'
import { readTls } from './tls-files.ts'
import { crossCheck } from './validate.ts'
import { replaceBySecretFile, replaceRedisCa } from './value-files.ts'

export type { Config }

const { properties } = environmentSchema

export interface LoadOptions {
  /** Is served instead of the content of TLS_CERT and TLS_KEY. */
  pair?: CertificatePair | undefined
  /** Where variables got their values, if not from the environment. */
  origins?: Origins
  /** Whether an app must be named. */
  needsApp?: boolean
}

/**
 * Reads the configuration from the environment and from the files that it names, and checks it. An empty variable counts as
 * unset. The result is frozen on every level.
 * @throws StartupError that names all issues of the environment at once
 */
export function loadConfig(
  environment: NodeJS.ProcessEnv = process.env,
  { pair, origins, needsApp }: LoadOptions = {}
): Config {
  const issues: string[] = []
  const given: Record<string, unknown> = {}
  for (const name of Object.keys(properties)) if (environment[name]) given[name] = environment[name]
  for (const name of FROM_FILES) replaceBySecretFile(given, name, issues)
  replaceRedisCa(given, issues)
  const tls = readTls(given, issues, pair)
  const variables = coerceVariables(given, issues)
  const config = toConfig({ variables, environment, systemd: readSystemd(environment, issues), tls })
  crossCheck(config, issues)
  if (needsApp && !config.app) issues.push(`APP: names no app: run \`muster start app.js\`, or set APP`)
  if (issues.length > 0) {
    const lines = issues.map((issue) => `  - ${issue}${originOf(issue, origins)}`)
    throw new StartupError(`invalid configuration:\n${lines.join('\n')}`)
  }
  return deepFreeze(config)
}

/** @param issue begins with the name of its variable */
function originOf(issue: string, origins: Origins | undefined): string {
  const origin = origins?.get(issue.split(':', 1)[0]!)
  return origin === undefined ? '' : ` (from ${origin})`
}

/** Makes numbers of texts and sets defaults. Invalid variables are reported and get their default, so that all is checked. */
function coerceVariables(given: Record<string, unknown>, issues: string[]): Variables {
  const variables = { ...given }
  const invalid = describeInvalid(coerceTo(properties, variables), given)
  if (invalid.size === 0) return variables as Variables
  issues.push(...invalid.values())
  const valid = Object.entries(given).filter(([name]) => !invalid.has(name))
  return coerceVariables(Object.fromEntries(valid), [])
}

/** @returns one text for each invalid variable, by its name */
function describeInvalid(issues: readonly Issue[], given: Record<string, unknown>): Map<string, string> {
  const described = new Map<string, string>()
  for (const { instancePath } of issues) {
    const name = instancePath.slice(1)
    const own = issues.filter((issue) => issue.instancePath === instancePath)
    const shown = isHidden(name) ? '' : `, not ${JSON.stringify(given[name])}`
    described.set(name, `${name}: ${expectationOf(name, own)}${shown}`)
  }
  return described
}

function expectationOf(name: string, issues: readonly Issue[]): string {
  const rule: { anyOf?: readonly { const: string }[]; description: string } =
    properties[name as keyof typeof properties]
  if (rule.anyOf) return `must be one of ${rule.anyOf.map((choice) => choice.const).join(', ')}`
  if (issues[0]?.keyword === 'pattern') return `must be ${rule.description}`
  return issues.map(({ message }) => message).join(' and ')
}
