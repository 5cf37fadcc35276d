import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, muster, type Service, startService, temporaryFolder } from '../helpers/service.ts'
import { Terminal } from '../helpers/terminal.ts'
import '../helpers/takes-long.ts'

/**
 * Makes the environment of a shell: a `muster` on the PATH that completes words, and otherwise only prints what it was called
 * with; and the file of its completion.
 */
async function shellEnvironment(t: TestContext, service: Service, shell: string) {
  const folder = temporaryFolder(t)
  const program = join(folder, 'bin/muster')
  mkdirSync(join(folder, 'bin'))
  writeFileSync(
    program,
    `#!/bin/sh
if [ "$1" = complete-words ]; then exec "${process.execPath}" "${CLI}" "$@"; fi
echo "called: $*."
`
  )
  chmodSync(program, 0o755)
  writeFileSync(join(folder, 'certificate.pem'), '')
  const file = join(folder, `completion.${shell}`)
  writeFileSync(file, (await muster(service, 'completion', shell)).stdout)
  const path = `${folder}/bin:${process.env.PATH}`
  const env = {
    ...cleanEnvironment(),
    PATH: path,
    HOME: folder,
    ZDOTDIR: folder,
    RUN_DIR: service.runDir,
    LC_ALL: 'C.UTF-8'
  }
  return { folder, file, env }
}

/** Keys, with Tab, and the words that the command then gets. */
const TYPED: [keys: string, words: string][] = [
  ['relo\t', 'reload'],
  ['sett\tse\tmainten\ttrue', 'settings set maintenance true'],
  ['recycle \t', 'recycle 0'],
  ['why --sl\t\t', 'why --slot 0'],
  ['log-level de\t', 'log-level debug'],
  ['start --sched\tst\t', 'start --scheduling sticky'],
  ['start --tls-cert certif\t', 'start --tls-cert certificate.pem']
]

for (const [shell, settings] of [
  // Bash writes its history when its terminal goes, into a folder that is removed by then.
  ['bash', 'unset HISTFILE; '],
  ['zsh', 'autoload -Uz compinit; compinit -u -D; ']
] as const) {
  const skip = missing(shell, 'script')
  test(`Tab completes commands, flags, slots, settings and files in ${shell}`, { skip }, async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
    const { folder, file, env } = await shellEnvironment(t, service, shell)
    writeFileSync(join(folder, `.${shell}rc`), `${settings}source ${file}\n`)
    const terminal = new Terminal(t, `env -C '${folder}' ${shell} -i`, env)
    for (const [keys, words] of TYPED) {
      terminal.type(`muster ${keys}\r`)
      await terminal.shows(new RegExp(`called: ${words} ?\\.`))
    }
  })
}

test('fish completes commands, flags, slots, settings and files, with descriptions', {
  skip: missing('fish')
}, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  const { folder, file, env } = await shellEnvironment(t, service, 'fish')
  const complete = async (line: string) => {
    const script = `source ${file}; complete -C 'muster ${line}'`
    const { stdout } = await promisify(execFile)('fish', ['--no-config', '-c', script], { env, cwd: folder })
    return stdout.trimEnd().split('\n')
  }
  assert.match((await complete('relo'))[0]!, /^reload\treplaces all workers/)
  assert.deepEqual(
    (await complete('settings set ')).map((line) => line.split('\t')[0]),
    ['banner', 'logLevel', 'maintenance']
  )
  assert.match((await complete('recycle '))[0]!, /^0\t/)
  assert.match((await complete('why --slot '))[0]!, /^0\t/)
  assert.match((await complete('log-level de'))[0]!, /^debug/)
  assert.match((await complete('start --scheduling st'))[0]!, /^sticky/)
  assert.match((await complete('start --tls-cert certif'))[0]!, /^certificate\.pem/)
})
