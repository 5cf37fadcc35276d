import { COMMAND_NAMES, COMMANDS, type Command } from '../admin/registry.ts'

/** What the command line knows beside the commands of the service. */
const OWN = {
  events: { usage: 'events', summary: 'what happens there, line by line, until it ends or you do' },
  completion: { usage: 'completion SHELL', summary: 'a script for bash or zsh that completes commands' }
}

export function help(): string {
  const entries = [
    ...COMMAND_NAMES.map((name): Pick<Command, 'usage' | 'summary'> => COMMANDS[name]),
    ...Object.values(OWN)
  ]
  const width = Math.max(...entries.map(({ usage }) => usage.length))
  return `Usage: muster <command> [--json]

Steers the muster that runs on RUN_DIR (default: .run).

${entries.map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`).join('\n')}

  --json      the answer as JSON
  --watch     of status: again every second
  -h, --help  this text

Exit code: 0 done, 1 not done, 2 no such command, 78 bad configuration.
`
}

/** The words of each command that come before its arguments. */
const verbs = (): string[][] =>
  [...COMMAND_NAMES.map((name) => COMMANDS[name].usage), ...Object.values(OWN).map(({ usage }) => usage)].map((usage) =>
    usage.split(' ').filter((word) => /^[a-z]/.test(word))
  )

/** @returns undefined for a shell that is not known */
export function completion(shell: string | undefined): string | undefined {
  const first = [...new Set(verbs().map(([word]) => word))].join(' ')
  const pairs = verbs().filter((words) => words.length > 1)
  const second = [...new Set(pairs.map(([word]) => word))].map(
    (word) => [word, pairs.filter(([one]) => one === word)] as const
  )
  const cases = second.map(([word, of]) => `    ${word}) words="${of.map(([, next]) => next).join(' ')}" ;;`)
  const bash = `_muster() {
  local words=""
  if [ "$COMP_CWORD" = 1 ]; then words="${first}"; else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  [ "$COMP_CWORD" -le 2 ] && COMPREPLY=($(compgen -W "$words --json --watch --help" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _muster muster
`
  if (shell === 'bash') return bash
  return shell === 'zsh' ? `autoload -Uz bashcompinit && bashcompinit\n${bash}` : undefined
}
