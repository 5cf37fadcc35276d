import { findAnalysis } from '../analysis/analyses.ts'
import { findCommand } from '../command-line.ts'
import { drillHelp } from '../drill/drill-help.ts'
import { initHelp } from '../init/init-help.ts'
import { commandHelp, help, LOCAL, localHelp, verbsOf } from './help.ts'
import { devHelp, startHelp, variablesHelp } from './start-help.ts'

const PAGES: Record<string, (word?: string) => string> = {
  init: () => initHelp(),
  drill: () => drillHelp(),
  start: () => startHelp(),
  dev: () => devHelp(),
  variables: variablesHelp,
  help: () => help()
}

/** Returns the help that words name: a command, `variables`, or everything. @throws UsageError for an unknown command */
export function helpPage([word = '', second]: string[]): string {
  const page = Object.hasOwn(PAGES, word) ? PAGES[word] : undefined
  if (page) return page(second)
  const analysis = findAnalysis([word, second ?? ''])
  if (analysis) return localHelp(analysis)
  const named = findCommand(second === undefined ? [word] : [word, second])
  if (named) return commandHelp(named.command)
  const local = LOCAL.find((command) => verbsOf(command)[0] === word)
  return local ? localHelp(local) : help()
}
