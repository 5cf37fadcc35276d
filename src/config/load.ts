import { deepFreeze } from '../common/deep-freeze.ts'
import { StartupError } from '../common/errors.ts'
import type { Schema } from '../common/json-schema.ts'
import { coerceText, scalarIssue } from '../common/scalar-check.ts'
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
  const given: Record<string, string> = {}
  for (const name of Object.keys(properties)) if (environment[name]) given[name] = environment[name]!
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
function coerceVariables(given: Record<string, string>, issues: string[]): Variables {
  const variables: Record<string, unknown> = {}
  for (const [name, rule] of Object.entries<Schema>(properties)) {
    if ('default' in rule) variables[name] = rule.default
    const text = given[name]
    if (text === undefined) continue
    const value = coerceText(rule, text)
    const issue = scalarIssue(rule, value)
    if (issue === undefined) variables[name] = value
    else issues.push(`${name}: ${expectationOf(rule, issue)}${isHidden(name) ? '' : `, not ${JSON.stringify(text)}`}`)
  }
  return variables as Variables
}

function expectationOf({ anyOf, pattern, description }: Schema, issue: string): string {
  if (anyOf) return `must be one of ${(anyOf as { const: string }[]).map((choice) => choice.const).join(', ')}`
  return pattern ? `must be ${description}` : issue
}
