import { environmentSchema } from '../../config/environment-schema.ts'
import { flagOf, isSecretFlag } from '../../config/sources/flags.ts'
import { wrap } from '../output/table.ts'

type Name = keyof typeof environmentSchema.properties
type Row = readonly [flag: string, text: string]

const WIDTH = 79
const FILES: Row[] = [
  ['--config FILE', 'default: muster.config.{ts,js,mjs,json}'],
  ['--env-file FILE', 'variables for service and app; default: .env']
]
const REFERENCE = 'docs/reference/configuration.md'

/** The text of `muster start --help`. */
export const startHelp = (): string => `Usage: muster start [APP] [FLAGS]

Starts a service in this terminal. APP is the module of your app: a Fastify
plugin, or an app of Express, Nest, Koa or Hono. Ctrl-C ends the service.

${list([
  ['--port 3000', 'TCP port; default: 8080; 0 takes a free one'],
  ['--host 0.0.0.0', 'address; default: 127.0.0.1, this machine only'],
  ['--workers 4', 'number of workers; default: one per available core'],
  ['--redis-url URL', 'your Redis; default: one that muster runs for you'],
  ['--redis off', 'no Redis, so no sessions and no shared state'],
  ['--run-dir DIR', 'pid file, admin socket, journal; default: .run'],
  ['--log-level debug', 'lowest level that is logged; default: info'],
  ['--trust-proxy ADDRESSES', 'proxies whose X-Forwarded-For counts'],
  ['--tls-cert, --tls-key FILE', 'the port speaks https'],
  ...FILES
])}

Every setting is a flag and a variable: --port is PORT. \`muster help variables\`
lists all, and \`muster help variables redis\` those about Redis.
Flags are stronger than the environment, then .env, then the config file.

Example:   muster start app.js --port 3000 --workers 4
`

/** The text of `muster dev --help`. */
export const devHelp = (): string => `Usage: muster dev [APP] [FLAGS]

Starts a service while you write it: one worker, which is replaced whenever a
file changes that APP is made of. An error stays in sight until it is fixed.
Ctrl-C ends the service.

${list([
  ['--inspect[=PORT]', 'a debugger attaches here, again after a reload; 9229'],
  ['--watch PATH', 'a file or folder that APP reads without importing it'],
  ['--port 3000', 'TCP port; default: 8080'],
  ['--workers 2', 'number of workers; default: 1'],
  ['--redis-url URL', 'your Redis; default: one that muster runs for you'],
  ['--log-level debug', 'lowest level that is logged; default: info'],
  ...FILES
])}

It takes the flags of \`muster start\` too: \`muster help variables\`.

Example:   muster dev app.ts --inspect --watch templates
`

/**
 * The text of `muster help variables`: every setting, with its flag, its meaning and its default.
 * @param word shows only settings whose name or description contains it
 */
export function variablesHelp(word = ''): string {
  const names = (Object.keys(environmentSchema.properties) as Name[]).filter((name) =>
    `${name} ${flagOf(name)} ${describe(name)}`.toLowerCase().includes(word.toLowerCase())
  )
  if (names.length === 0) return `no setting is about '${word}': \`muster help variables\` lists all\n`
  const entries = names.map((name) => {
    const head = isSecretFlag(name) ? `${name}  (no flag: other users would see it)` : `${name}  ${flagOf(name)}`
    return [head, ...wrap(describe(name), WIDTH - 4).map((line) => `    ${line}`)].join('\n')
  })
  return `${entries.join('\n')}\n\nMore: ${REFERENCE}\n`
}

function describe(name: Name): string {
  const property: { description: string; default?: unknown } = environmentSchema.properties[name]
  const { default: fallback } = property
  return fallback === undefined || fallback === ''
    ? property.description
    : `${property.description}; default: ${fallback}`
}

function list(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 2
  return rows.map(([flag, text]) => `  ${flag.padEnd(width)}${text}`).join('\n')
}
