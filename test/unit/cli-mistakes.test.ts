import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findCommand, parseCommandLine, readArguments } from '../../src/cli/command-line.ts'
import { completionScript } from '../../src/cli/completion/shells.ts'
import { helpPage } from '../../src/cli/help/pages.ts'
import { parseStartFlags, UsageError } from '../../src/config/sources/flags.ts'

/** What people type by mistake, and what the answer contains. */
const MISTAKES: [typed: string, answer: RegExp][] = [
  ['stat', /'stat', did you mean 'status'\?/],
  ['statsu', /did you mean 'status'\?/],
  ['Status', /did you mean 'status'\?/],
  ['relaod', /did you mean 'reload'\?/],
  ['reloda', /did you mean 'reload'\?/],
  ['scle 2', /did you mean 'scale'\?/],
  ['recylce 0', /did you mean 'recycle'\?/],
  ['stpo', /did you mean 'stop'\?/],
  ['wy', /did you mean 'why'\?/],
  ['jurnal', /did you mean 'journal'\?/],
  ['audti', /did you mean 'audit'\?/],
  ['confg', /did you mean 'config'\?/],
  ['pign', /did you mean 'ping'\?/],
  ['loglevel debug', /did you mean 'log-level'\?/],
  ['cache-claer', /did you mean 'cache-clear'|did you mean 'cache clear'/],
  ['event', /did you mean 'events'\?/],
  ['strat', /did you mean 'start'\?/],
  ['hepl', /did you mean 'help'\?/],
  ['dance', /unknown command 'dance': `muster --help` lists/],
  ['settings', /'settings' needs another word: 'settings get' or 'settings set'/],
  ['settings gte', /did you mean 'settings get'\?/],
  ['sessions', /'sessions' needs another word/],
  ['sessions lst ada', /did you mean 'sessions list'\?/],
  ['status --jsn', /unknown flag --jsn, did you mean --json\?/],
  ['status --wacth', /did you mean --watch\?/],
  ['status --rundir x', /did you mean --run-dir\?/],
  ['--dance', /unknown flag --dance: `muster --help` lists the flags/],
  ['-x', /unknown flag -x/],
  ['status --json=yes', /--json takes no value, not "yes"/],
  ['status --run-dir', /--run-dir needs a value: --run-dir PATH/],
  ['status --run-dir --json', /--run-dir needs a value/],
  ['scale', /workers: missing; must be a number of workers.*\nusage: muster scale WORKERS$/],
  ['scale many', /workers: must be a number of workers.*, not "many"/],
  ['scale 2 3', /argument 2, "3": unknown argument; known arguments: workers/],
  ['recycle', /slot: missing; must be a number from 0 to 998\nusage: muster recycle SLOT$/],
  ['recycle all', /slot: must be a number from 0 to 998, not "all"/],
  ['why 999', /slot: must be a number from 0 to 998, not 999/],
  ['journal 0', /limit: must be a number from 1 to 10000, not 0/],
  [
    'status now',
    /argument 1, "now": unknown argument; known arguments: allHosts\nusage: muster status \[--all-hosts\]/
  ],
  ['log-level loud', /level: must be .*, not "loud"/],
  ['settings get a b', /argument 2, "b": unknown argument; known arguments: key/],
  ['inti shop', /did you mean 'init'\?/],
  ['dve app.js', /did you mean 'dev'\?/],
  ['compltion bash', /did you mean 'completion'\?/],
  ['completion', /completion needs a shell: `muster completion bash`, `zsh` or `fish`/],
  ['completion csh', /unknown shell 'csh': `muster completion bash`/],
  ['help stats', /unknown command 'stats', did you mean 'status'\?/],
  ['why --since yesterday', /since: must be a duration such as 10m.*, not "yesterday"\nusage: muster why/],
  ['why --slot', /--slot needs a value: --slot VALUE/],
  ['journal --slot all', /slot: must be a number from 0 to 998, not "all"/],
  ['journal --slto 0', /unknown flag --slto, did you mean --slot\?/],
  ['stop --slot 1', /'stop' has no flag --slot: `muster help stop` lists its flags/],
  ['start app.js --prot 3000', /unknown flag --prot, did you mean --port\?/],
  ['start app.js --workers', /--workers needs a value/],
  ['start app.js other.js', /one app is served, not 2: app\.js, other\.js/],
  ['start --admin-token x', /would show the secret in the list of processes: set ADMIN_TOKEN, or --admin-token-file/]
]

/** The parts of every answer that say what to do next. */
const NEXT_STEP =
  /did you mean|must be|lists|usage:|needs|takes no value|known arguments|one app is|has no flag|`|set [A-Z]/

/** Does what the command does with its words, up to the first request to a service. */
function answer(typed: string): void {
  const args = typed.split(' ')
  if (args[0] === 'start') return void parseStartFlags(args.slice(1))
  const { words, flags, wantsHelp } = parseCommandLine(args)
  if (wantsHelp) return void helpPage(words)
  const named = findCommand(words)
  if (words[0] === 'completion') completionScript(words[1])
  if (named) readArguments(named.command, named.words, flags)
}

describe('each answer to a mistake names it, and the next step, in at most three lines', () => {
  for (const [typed, expected] of MISTAKES) {
    test(`muster ${typed}`, () => {
      assert.throws(
        () => answer(typed),
        (error) => {
          assert.ok(error instanceof UsageError)
          assert.match(error.message, expected)
          assert.match(error.message, NEXT_STEP)
          assert.ok(error.message.split('\n').length <= 3, error.message)
          return true
        }
      )
    })
  }
})
