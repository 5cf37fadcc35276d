import type { Command } from '../../admin/command.ts'
import { argumentFlag } from '../../admin/command-arguments.ts'
import { type CommandRegistry, registry } from '../../admin/registry.ts'
import { ANALYSES } from '../analysis/analyses.ts'
import { wrap } from '../output/table.ts'

/** The size of a screen. Every help page fits on one. */
const WIDTH = 79
const MAX_RESULT_LINES = 4

/** Commands that the command line runs itself, without a command of the service. */
export const LOCAL: readonly { usage: string; summary: string; example: string }[] = [
  {
    usage: 'events',
    summary: 'prints what happens in the service, line by line, until it ends',
    example: 'muster events'
  },
  {
    usage: 'completion SHELL',
    summary: 'prints a script that completes commands, flags and values in bash, zsh or fish',
    example: 'source <(muster completion bash)'
  },
  {
    usage: 'drill [--html FILE]',
    summary: 'tests the running service from outside and reports which promises hold',
    example: 'muster drill'
  },
  { usage: 'init [FOLDER]', summary: 'writes a new app', example: 'muster init shop' },
  { usage: 'start [APP]', summary: 'starts a service in this terminal', example: 'muster start app.js' },
  { usage: 'dev [APP]', summary: 'starts it while you write it', example: 'muster dev app.js' },
  ...ANALYSES
]

/** The overview: commands that belong together, and what they are for. A test checks that none is missing. */
const GROUPS: [commands: string[], summary: string][] = [
  [['init'], 'writes a new app with a test and Docker files'],
  [['start', 'dev'], 'run your app; dev reloads it when it changes'],
  [['status', 'ping', 'config'], 'show the service and its workers'],
  [['why', 'journal', 'audit', 'events'], 'show what happened and why; what happens now'],
  [['reload', 'promote', 'rollback'], 'replace all workers; end that by hand'],
  [['upgrade'], 'replaces the primary too, and Node.js'],
  [['recycle', 'scale', 'stop'], 'replace one worker; set their number; end all'],
  [['settings get', 'settings set'], 'settings that all workers share'],
  [['log-level', 'cache-clear'], 'set the log level; empty caches'],
  [['sessions list', 'sessions end'], "list a user's sessions; end them"],
  [['quarantine list', 'quarantine add', 'quarantine lift'], 'refuse routes that end workers'],
  [['profile', 'heap', 'report', 'diagnose'], 'look into a worker; compare profiles'],
  [['drill', 'completion'], 'tests the promises; completes commands']
]

/** The words of a command before its arguments: `settings get` of `settings get [KEY]`. */
export const verbsOf = ({ usage }: { usage: string }): string[] =>
  usage.split(' ').filter((word) => /^[a-z]/.test(word))

/** The text of `muster help`. */
export function help({ commands }: CommandRegistry = registry): string {
  const grouped = new Set(GROUPS.flatMap(([names]) => names))
  // The help of `profile` and `heap` lists their analyses.
  const isKnown = (verbs: string[]) => grouped.has(verbs.join(' ')) || grouped.has(verbs[0]!)
  const further = [...commands, ...LOCAL].filter((command) => !isKnown(verbsOf(command)))
  const rows = [
    ...GROUPS.map(([names, summary]) => [joinNames(names), summary] as const),
    ...further.map(({ usage, summary }) => [usage, summary] as const)
  ]
  const width = Math.max(...rows.map(([names]) => names.length)) + 2
  return `Usage: muster COMMAND [ARGUMENTS] [FLAGS]      Example: muster start app.js

${rows.map(([names, summary]) => `  ${names.padEnd(width)}${summary}`).join('\n')}

  --run-dir DIR  the service's RUN_DIR; default: that of this folder, of a
                 parent, or of the only service that runs
  --json         prints the answer as JSON, without units
  --version      prints the version

\`muster help COMMAND\` explains a command, \`muster help variables\` every setting.
Exit code: 0 done, 1 not done, 2 wrong usage, 78 wrong configuration.
`
}

/** @returns the names in a list; of names with the same first word only the first has it when there are more than two */
function joinNames(names: string[]): string {
  const [first = ''] = names[0]!.split(' ')
  return names
    .map((name, i) => (i > 0 && names.length > 2 && name.startsWith(`${first} `) ? name.slice(first.length + 1) : name))
    .join(', ')
}

/** The text of `muster help COMMAND`. */
export function commandHelp(command: Command): string {
  const { name, summary, usage, level, args, example, signals = {} } = command
  const rows = Object.entries(args.properties).map(([argument, schema]) => [
    `${schema.type === 'boolean' ? '--' : ''}${argumentFlag(argument, schema)}`,
    String(schema.description ?? '').replace(/^(true|false): /, '')
  ])
  const width = Math.max(...rows.map(([argument = '']) => argument.length)) + 2
  const list = rows.flatMap(([argument = '', text = '']) =>
    wrap(text, WIDTH - width - 2).map((line, i) => `  ${(i === 0 ? argument : '').padEnd(width)}${line}`)
  )
  const [one] = Object.keys(args.properties)
  const title = rows.every(([argument]) => argument?.startsWith('--'))
    ? 'Flags:'
    : `Arguments, also as flags (--${one} …):`
  const signalText = Object.entries(signals).map(([signal, given]) => `${signal}${describeArguments(given)}`)
  const sections = [
    wrap(`Usage: muster ${usage}`, WIDTH),
    ['', ...wrap(sentence(summary), WIDTH)],
    ...(one ? [['', title, ...list]] : []),
    ...(name === 'status' ? [['', '  --watch  shows it again every second, until Ctrl-C']] : []),
    ...(name === 'reload'
      ? [['', 'Exit code: 3 rolled back because it is worse, 4 waits for promote or rollback']]
      : []),
    ...analysesOf(name),
    ['', `Example:   muster ${exampleOf(command)}`],
    [`Over HTTP, with a ${level} token:`, `  POST /admin/commands/${name} ${JSON.stringify(example.args)}`],
    ['Result, with --json and over HTTP:', ...shorten(JSON.stringify(example.result))],
    ...(signalText.length > 0 ? [[`Signals to the primary that do the same: ${signalText.join(', ')}`]] : [])
  ]
  return `${sections.flat().join('\n')}\n`
}

/** What can be done with the files of a command. */
function analysesOf(name: string): string[][] {
  const usages = ANALYSES.filter(({ usage }) => usage.startsWith(`${name} `)).map(({ usage }) => `muster ${usage}`)
  return usages.length > 0 ? [['', `Then:      ${usages.join(', ')}`]] : []
}

/** The text of the help of a command that the command line runs itself. */
export const localHelp = ({ usage, summary, example }: (typeof LOCAL)[number]): string =>
  `Usage: muster ${usage}\n\n${wrap(sentence(summary), WIDTH).join('\n')}\n\nExample:   ${example}\n`

const sentence = (summary: string) => `${summary[0]?.toUpperCase()}${summary.slice(1)}.`

const describeArguments = (given: object) =>
  Object.values(given)
    .map((value) => ` (${value})`)
    .join('')

/** The words of the example: arguments in their places, the others as flags. */
function exampleOf({ usage, positional, example }: Command): string {
  const given = { ...(example.args as Record<string, unknown>) }
  // `settings set` takes its value as text.
  if ('value' in given && positional.includes('text')) {
    given.text = given.value
    delete given.value
  }
  const words = positional.flatMap((name) => (name in given ? [String(given[name])] : []))
  const flags = Object.keys(given).filter((name) => !positional.includes(name))
  return [...verbsOf({ usage }), ...words, ...flags.map((name) => `--${name} ${given[name]}`)].join(' ')
}

/** Breaks JSON into lines that fit, at commas, and leaves out further lines. */
function shorten(json: string): string[] {
  const lines = wrap(json.replaceAll(',"', ', "').replaceAll(':{', ': {'), WIDTH - 2)
  const shown = lines.slice(0, MAX_RESULT_LINES).map((line) => `  ${line}`)
  return lines.length > MAX_RESULT_LINES ? [...shown, '  …'] : shown
}
