import type { Command } from '../admin/command.ts'
import { type CommandRegistry, registry } from '../admin/registry.ts'

/** Commands that the command line runs itself, without the service. */
export const LOCAL = [
  { usage: 'start [APP]', summary: 'starts the service in this terminal: `muster start --help`' },
  {
    usage: 'dev [APP]',
    summary: 'starts the service while you write it, and reloads at each change: `muster dev --help`'
  },
  { usage: 'events', summary: 'prints what happens in the service, line by line, until it ends' },
  { usage: 'completion SHELL', summary: 'prints a script that completes commands in bash or zsh' }
]

/** The text of `muster --help`. */
export function help({ commands }: CommandRegistry = registry): string {
  const entries: Pick<Command, 'usage' | 'summary'>[] = [...commands, ...LOCAL]
  const width = Math.max(...entries.map(({ usage }) => usage.length))
  return `Usage: muster <command> [--json]

Controls the service that runs on RUN_DIR (default: .run).

${entries.map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`).join('\n')}

  --run-dir DIR, --config FILE, --env-file FILE  find the service, as for start
  --json      prints the answer as JSON
  --watch     with status: prints it again every second
  -h, --help  prints this text, or the details of a command, as help COMMAND does
  --version   prints the version

Exit code: 0 done, 1 not done, 2 wrong usage, 78 wrong configuration.
`
}

/** The text of `muster <command> --help`. */
export function commandHelp({ name, summary, usage, level, args, example, signals = {} }: Command): string {
  const list = Object.entries(args.properties).map(
    ([argument, { description = '' }]) => `  ${argument}: ${description}`
  )
  const sections = [
    `Usage: muster ${usage}`,
    summary,
    ...(list.length > 0 ? [`Arguments:\n${list.join('\n')}`] : []),
    `Over HTTP, with a ${level} token:\n  POST /admin/commands/${name} ${JSON.stringify(example.args)}`,
    `Result:\n  ${JSON.stringify(example.result)}`,
    ...(Object.keys(signals).length > 0 ? [`Signals to the primary: ${Object.keys(signals).join(', ')}`] : [])
  ]
  return `${sections.join('\n\n')}\n`
}

/** The words of a command before its arguments: `settings get` of `settings get [KEY]`. */
export const verbsOf = ({ usage }: { usage: string }): string[] =>
  usage.split(' ').filter((word) => /^[a-z]/.test(word))

/** The text of `muster completion SHELL`. @returns undefined for an unknown shell */
export function completion(shell: string | undefined, { commands }: CommandRegistry = registry): string | undefined {
  const verbs = [...commands, ...LOCAL].map(verbsOf)
  const first = [...new Set(verbs.map(([word]) => word))]
  const cases = first.flatMap((word) => {
    const second = verbs.filter(([group, next]) => group === word && next !== undefined).map(([, next]) => next)
    return second.length > 0 ? [`    ${word}) words="${second.join(' ')}" ;;`] : []
  })
  const bash = `_muster() {
  local words=""
  if [ "$COMP_CWORD" = 1 ]; then words="${first.join(' ')}"; else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  [ "$COMP_CWORD" -le 2 ] && COMPREPLY=($(compgen -W "$words --json --watch --help" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _muster muster
`
  if (shell === 'bash') return bash
  return shell === 'zsh' ? `autoload -Uz bashcompinit && bashcompinit\n${bash}` : undefined
}
