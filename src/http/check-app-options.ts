import { StartupError } from '../common/errors.ts'
import { nearestName } from '../common/nearest.ts'
import { type AppOptions, DEFAULT_PATHS, type OpenApiInfo, type ServicePaths } from './app-options.ts'
import { issuesOfServerOptions } from './server-options.ts'

/** Adds the issues of a value to a list. `name` is its full name, such as `muster.paths.livez`. */
type Check = (name: string, value: unknown, issues: string[]) => void

/** @param expected completes the sentence "it must be …" */
const mustBe =
  (expected: string, isValid: (value: unknown) => boolean): Check =>
  (name, value, issues) => {
    if (value !== undefined && !isValid(value)) issues.push(`${name} must be ${expected}, not ${describe(value)}`)
  }

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== ''
const TRUE_OR_FALSE = mustBe('true or false', (value) => typeof value === 'boolean')
const TEXT = mustBe('a text', isText)
/** A character that is not printable ASCII would make the header invalid. */
const POLICY = mustBe(
  'a Content-Security-Policy in one line, or false',
  (value) => value === false || (isText(value) && /^[\x20-\x7e]+$/.test(value))
)
/** Without parameters and wildcards, because the service's own routes are static. */
const PATH = mustBe(
  'a path such as "/internal/livez", or false',
  (value) => value === false || (typeof value === 'string' && /^(?:\/[\w.~!$&'+,;=@-]+)+$/.test(value))
)

const OPENAPI: Record<keyof OpenApiInfo, Check> = { title: TEXT, version: TEXT, description: TEXT }
const PATHS: Record<keyof ServicePaths, Check> = {
  livez: PATH,
  readyz: PATH,
  healthz: PATH,
  metrics: PATH,
  openapi: PATH,
  docs: PATH,
  admin: PATH
}

const OPTIONS: Record<keyof AppOptions, Check> = {
  kind: mustBe('"plugin" or "listener"', (value) => value === 'plugin' || value === 'listener'),
  sessions: TRUE_OR_FALSE,
  securityHeaders: TRUE_OR_FALSE,
  contentSecurityPolicy: POLICY,
  crossSiteCheck: TRUE_OR_FALSE,
  rateLimit: TRUE_OR_FALSE,
  methodCheck: TRUE_OR_FALSE,
  jsonDepthCheck: TRUE_OR_FALSE,
  openapi: (name, value, issues) => {
    if (value !== false) checkMembers(name, value, OPENAPI, issues)
  },
  paths: (name, value, issues) => {
    checkMembers(name, value, PATHS, issues)
    if (issues.length === 0) checkDistinct(name, value as ServicePaths, issues)
  }
}

/** The names of all options of the app. */
export const APP_OPTIONS: readonly string[] = Object.keys(OPTIONS)

/**
 * Checks the options that the app's module exports.
 * @throws StartupError with all issues
 */
export function checkServed({ options, serverOptions }: { options: unknown; serverOptions: unknown }): void {
  const issues = [...issuesOfServerOptions(serverOptions), ...issuesOfAppOptions(options)]
  if (issues.length > 0) throw new StartupError(['The options of the app are invalid:', ...issues].join('\n  '))
}

/**
 * Checks what an app says about the service around it.
 * @param name of the object, such as `muster`
 * @returns all issues, as sentences; empty when the options are valid
 */
export function issuesOfAppOptions(options: unknown, name = 'muster'): string[] {
  const issues: string[] = []
  checkMembers(name, options, OPTIONS, issues)
  return issues
}

function checkMembers(name: string, value: unknown, checks: Readonly<Record<string, Check>>, issues: string[]): void {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    issues.push(`${name} must be an object, not ${describe(value)}`)
    return
  }
  for (const [key, member] of Object.entries(value)) {
    if (Object.hasOwn(checks, key)) checks[key]!(`${name}.${key}`, member, issues)
    else issues.push(`${name}.${key} is no option: ${suggest(key, Object.keys(checks))}`)
  }
}

function suggest(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known)
  return nearest ? `did you mean ${nearest}?` : `there are ${known.join(', ')}`
}

/** Two routes of the service cannot have the same path. */
function checkDistinct(name: string, paths: ServicePaths | undefined, issues: string[]): void {
  const keysByPath = new Map<string, string>()
  for (const [key, path] of Object.entries({ ...DEFAULT_PATHS, ...paths })) {
    if (path === false) continue
    const other = keysByPath.get(path)
    if (other) issues.push(`${name}.${key} must differ from ${name}.${other}: both are ${path}`)
    keysByPath.set(path, key)
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return JSON.stringify(value)
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}
