import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'
import { EXIT_CONFIG, StartupError } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest.ts'
import { UsageError } from '../../config/sources/flags.ts'
import { initHelp } from './init-help.ts'
import { checkPackageName, packageNameOf } from './package-name.ts'
import { type Language, writeProject } from './write-project.ts'

const EXIT_USAGE = 2
const OPTIONS = {
  typescript: { type: 'boolean' },
  javascript: { type: 'boolean' },
  name: { type: 'string' },
  help: { type: 'boolean', short: 'h' }
} as const

/** `muster init`: writes a new app. Sets the exit code of this process. */
export async function initCommand(args: string[]): Promise<void> {
  try {
    process.stdout.write(await init(args))
  } catch (error) {
    const isUsage = error instanceof UsageError
    if (!isUsage && !(error instanceof StartupError)) throw error
    process.stderr.write(`muster: ${error.message}\n`)
    process.exitCode = isUsage ? EXIT_USAGE : EXIT_CONFIG
  }
}

/** @returns the text to print */
async function init(args: string[]): Promise<string> {
  const { folder, language, name, wantsHelp } = readArguments(args)
  if (wantsHelp) return initHelp()
  const files = await writeProject({ folder, language, name: name ?? packageNameOf(folder), version: ownVersion() })
  const enter = folder === '.' ? '' : `cd ${quote(folder)} && `
  return `Wrote to ${folder}: ${files.join(', ')}

Next:
  ${enter}npm install
  npm start
`
}

function readArguments(args: string[]) {
  const { values, tokens, positionals } = parseArgs({
    args,
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  for (const token of tokens) if (token.kind === 'option') checkFlag(token.name, token.rawName, token.value)
  if (positionals.length > 1)
    throw new UsageError(`one folder is named, not ${positionals.length}: ${positionals.join(', ')}`)
  if (values.typescript && values.javascript) throw new UsageError('--typescript or --javascript, not both')
  const name = values.name as string | undefined
  if (name !== undefined) checkPackageName(name)
  const language: Language = values.javascript ? 'javascript' : 'typescript'
  return { folder: positionals[0] || '.', language, name, wantsHelp: values.help === true }
}

/** @param flag as written, with its hyphens */
function checkFlag(name: string, flag: string, value: string | undefined): void {
  if (!Object.hasOwn(OPTIONS, name)) {
    const nearest = nearestName(name, Object.keys(OPTIONS))
    throw new UsageError(
      `unknown flag ${flag}${nearest ? `, did you mean --${nearest}?` : ': `muster init --help` lists the flags'}`
    )
  }
  const takesValue = OPTIONS[name as keyof typeof OPTIONS].type === 'string'
  if (takesValue && !value) throw new UsageError(`${flag} needs a value: ${flag} my-shop`)
  if (!takesValue && value !== undefined) throw new UsageError(`${flag} takes no value, not ${JSON.stringify(value)}`)
}

const ownVersion = () => (createRequire(import.meta.url)('muster-serve/package.json') as { version: string }).version

/** Quotes a path for a shell, if it needs that. */
const quote = (path: string) => (/^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)
