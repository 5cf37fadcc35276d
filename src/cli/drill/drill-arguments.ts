import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { nearestName } from '../../common/nearest.ts'
import { UsageError } from '../../config/sources/flags.ts'
import { type DrillRequest, parseRequests } from '../../drill/load/requests.ts'
import { FAULTS, type FaultName } from '../../drill/observations.ts'

/** The flags of `muster drill`, and what each value is. */
export const DRILL_OPTIONS = {
  requests: { type: 'string' },
  faults: { type: 'string' },
  seconds: { type: 'string' },
  'max-requests': { type: 'string' },
  html: { type: 'string' },
  json: { type: 'boolean' },
  force: { type: 'boolean' },
  'run-dir': { type: 'string' },
  config: { type: 'string' },
  'env-file': { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' }
} as const

const MAX_SECONDS = 600
const MAX_REQUESTS = 1_000_000

export interface DrillArguments {
  requests: DrillRequest[] | undefined
  faults: FaultName[]
  seconds: number
  maxRequests: number
  /** Path of the web page. */
  html: string | undefined
  json: boolean
  isForced: boolean
  wantsHelp: boolean
  /** What names the service. */
  sources: { variables: Record<string, string>; configFile: string | undefined; envFiles: string[] | undefined }
}

/** @throws UsageError that names all issues */
export function readDrillArguments(args: string[]): DrillArguments {
  const { values, tokens } = parseArgs({
    args,
    options: DRILL_OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  const issues = tokens.flatMap((token) => {
    if (token.kind === 'positional') return [`muster drill takes flags only, not ${JSON.stringify(token.value)}`]
    return token.kind === 'option' ? (flagIssue(token.name, token.rawName, token.value) ?? []) : []
  })
  const text = (name: keyof typeof DRILL_OPTIONS) =>
    typeof values[name] === 'string' ? (values[name] as string) : undefined
  const seconds = readNumber('--seconds', text('seconds') ?? '180', MAX_SECONDS, issues)
  const maxRequests = readNumber('--max-requests', text('max-requests') ?? '100000', MAX_REQUESTS, issues)
  const faults = readFaults(text('faults'), issues)
  const requests = readRequests(text('requests'), issues)
  if (issues.length > 0) throw new UsageError(issues.join('\n'))
  const runDir = text('run-dir')
  return {
    requests,
    faults,
    seconds,
    maxRequests,
    html: text('html'),
    json: values.json === true,
    isForced: values.force === true,
    wantsHelp: values.help === true,
    sources: {
      variables: runDir === undefined ? {} : { RUN_DIR: runDir },
      configFile: text('config'),
      envFiles: values['env-file'] as string[] | undefined
    }
  }
}

/** @param flag as written, with its hyphens @returns undefined when the flag is fine */
function flagIssue(name: string, flag: string, value: string | undefined): string | undefined {
  const option = (DRILL_OPTIONS as Record<string, { type: string }>)[name]
  if (!option) {
    const nearest = nearestName(name, Object.keys(DRILL_OPTIONS))
    return `unknown flag ${flag}${nearest ? `, did you mean --${nearest}?` : ': `muster help drill` lists the flags'}`
  }
  if (option.type === 'string' && (!value || value.startsWith('-'))) return `${flag} needs a value`
  return option.type === 'boolean' && value !== undefined ? `${flag} takes no value` : undefined
}

function readNumber(flag: string, text: string, max: number, issues: string[]): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > max)
    issues.push(`${flag} must be a number from 1 to ${max}, not ${text}`)
  return value
}

function readFaults(text: string | undefined, issues: string[]): FaultName[] {
  if (text === undefined) return [...FAULTS]
  const names = text.split(',').map((name) => name.trim())
  for (const name of names) {
    if ((FAULTS as readonly string[]).includes(name)) continue
    const nearest = nearestName(name, FAULTS)
    issues.push(`unknown fault '${name}'${nearest ? `, did you mean '${nearest}'?` : `: use ${FAULTS.join(', ')}`}`)
  }
  return FAULTS.filter((name) => names.includes(name))
}

function readRequests(file: string | undefined, issues: string[]): DrillRequest[] | undefined {
  if (file === undefined) return undefined
  try {
    const { requests, issues: found } = parseRequests(readFileSync(file, 'utf8'))
    issues.push(...found.map((issue) => `${file}: ${issue}`))
    return requests
  } catch (error) {
    issues.push(`--requests ${file} cannot be read: ${(error as Error).message}`)
    return undefined
  }
}
