import assert from 'node:assert/strict'
import { test } from 'node:test'
import { complete, FILES } from '../../src/cli/completion/complete.ts'

const known = { slots: async () => [0, 1, 10], settings: async () => ['banner', 'maintenance'] }
const wordsAfter = async (line: string) => (await complete(line.split(' '), known)).map(([word]) => word)

for (const [line, expected] of [
  ['relo', ['reload']],
  ['re', ['reload', 'recycle', 'report']],
  ['sess', ['sessions']],
  ['settings ', ['get', 'set']],
  ['sessions e', ['end']],
  ['help se', ['settings', 'sessions']],
  ['help var', ['variables']],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['recycle ', ['0', '1', '10']],
  ['recycle 1', ['1', '10']],
  ['why --slot ', ['0', '1', '10']],
  ['why --slot=1', ['--slot=1', '--slot=10']],
  // Bash makes words of the equals sign.
  ['why --slot =', ['0', '1', '10']],
  ['why --slot = 10', ['10']],
  ['why --s', ['--slot', '--since']],
  ['why --since ', ['10m', '1h', '1d']],
  ['journal --sl', ['--slot']],
  ['status --w', ['--watch']],
  ['reload --w', []],
  ['reload --sl', []],
  ['--run-dir ', [FILES]],
  ['--run-dir /tmp recycle ', ['0', '1', '10']],
  ['settings get ', ['banner', 'maintenance']],
  ['settings set m', ['maintenance']],
  ['log-level ', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']],
  ['start ', [FILES]],
  ['init ', [FILES]],
  ['init demo --java', ['--javascript']],
  ['start --sched', ['--scheduling']],
  ['start --scheduling ', ['rr', 'shared', 'reuseport', 'sticky']],
  ['start app.js --tls-cert ', [FILES]],
  ['start --insp', []],
  ['dev --insp', ['--inspect']],
  ['dev --watch ', [FILES]],
  ['start --admin-token', ['--admin-token-file']],
  ['dance ', []]
] as const) {
  test(`after "muster ${line}" may come: ${expected.join(', ') || 'nothing'}`, async () => {
    assert.deepEqual(await wordsAfter(line), expected)
  })
}
