import { UsageError } from '../../config/sources/flags.ts'

/** The shell functions ask the program that was typed, so that they know its commands, and the slots of its service. */
const SCRIPTS = {
  bash: `# Completion of muster in bash. In ~/.bashrc: source <(muster completion bash)
_muster() {
  local -a found
  mapfile -t found < <("\${COMP_WORDS[0]}" complete-words "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1)
  if [ "\${found[0]}" = :files ]; then compopt -o default; COMPREPLY=(); else COMPREPLY=("\${found[@]}"); fi
}
complete -F _muster muster
`,
  zsh: `#compdef muster
# Completion of muster in zsh. In ~/.zshrc, after compinit: source <(muster completion zsh)
_muster() {
  local -a found shown
  local line
  found=("\${(@f)$("\${words[1]}" complete-words "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $found[1] == :files ]]; then _files; return; fi
  for line in $found; do shown+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}"); done
  _describe muster shown
}
if [[ $funcstack[1] == _muster ]]; then
  _muster "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _muster muster
fi
`,
  fish: `# Completion of muster in fish: muster completion fish > ~/.config/fish/completions/muster.fish
function __muster_words
    set -l typed (commandline -opc) (commandline -ct)
    set -l found ($typed[1] complete-words $typed[2..] 2>/dev/null)
    if test "$found[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c muster -f -a '(__muster_words)'
`
}

export const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[]

/** The text of `muster completion SHELL`. @throws UsageError for another shell */
export function completionScript(shell: string | undefined): string {
  const known = SHELLS.find((name) => name === shell)
  if (known) return SCRIPTS[known]
  const problem = shell === undefined ? 'completion needs a shell' : `unknown shell '${shell}'`
  throw new UsageError(`${problem}: \`muster completion bash\`, \`zsh\` or \`fish\``)
}
