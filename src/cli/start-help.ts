import { environmentSchema } from '../config/environment-schema.ts'
import { flagOf } from '../config/sources/flags.ts'

type Name = keyof typeof environmentSchema.properties

/** Flags that most services need. */
const COMMON: Name[] = [
  'PORT',
  'HOST',
  'WORKERS',
  'SCHEDULING',
  'REDIS_URL',
  'RUN_DIR',
  'LOG_LEVEL',
  'TRUST_PROXY',
  'TLS_CERT',
  'TLS_KEY'
]
const WIDTH = 80
type Row = readonly [flag: string, text: string]
const DEV_ROWS: Row[] = [
  ['--inspect[=PORT]', 'a debugger attaches to the worker at this port, 9229 by default, and again after each reload'],
  ['--watch PATH', 'a file or folder that the app reads without importing it; may be repeated']
]

/** The text of `muster start --help`, and with `all` that of `muster start --help --all`. */
export function startHelp(all = false): string {
  return `Usage: muster start [APP] [flags]

Starts the service in this process, which becomes the primary and forks the workers.
APP is the module of your app: a Fastify plugin, or an app of Express, Nest, Koa or Hono.

${flagsHelp([], all)}`
}

/** The text of `muster dev --help`, and with `all` that of `muster dev --help --all`. */
export function devHelp(all = false): string {
  return `Usage: muster dev [APP] [flags]

Starts the service while you write it: one worker, which is replaced when a file changes
that APP is made of. An error stays in sight until it is fixed. Ctrl-C ends it.

${flagsHelp(DEV_ROWS, all)}`
}

function flagsHelp(first: readonly Row[], all: boolean): string {
  const names = all ? (Object.keys(environmentSchema.properties) as Name[]) : COMMON
  const rows: Row[] = [
    ...first,
    ['--config FILE', 'the config file; default: muster.config.{ts,mts,js,mjs,cjs,json}'],
    ['--env-file FILE', 'variables of the service and the app; default: .env; may be repeated'],
    ...names.map((name) => [flagOf(name), describe(name)] as const)
  ]
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 4
  return `${rows.map(([flag, text]) => wrap(`  ${flag}`.padEnd(width), text)).join('\n')}
${all ? '' : '\n  --help --all shows every flag. Each is also a variable: PORT for --port.\n'}
Flags are stronger than the environment, then .env, then the config file.
`
}

function describe(name: Name): string {
  const property: { description: string; default?: unknown } = environmentSchema.properties[name]
  const { default: fallback } = property
  return fallback === undefined || fallback === ''
    ? property.description
    : `${property.description}; default: ${fallback}`
}

/** Breaks a text behind a label into lines of {@link WIDTH} characters. */
function wrap(label: string, text: string): string {
  const lines: string[] = []
  let line = label
  for (const word of text.split(' ')) {
    if (line.length + word.length >= WIDTH && line.trim() !== '') {
      lines.push(line.trimEnd())
      line = ' '.repeat(label.length)
    }
    line += `${line.endsWith(' ') ? '' : ' '}${word}`
  }
  return [...lines, line].join('\n')
}
