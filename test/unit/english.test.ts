import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../helpers/service.ts'

interface CheckEnglish {
  findings(root: string): string[]
  textFaults(text: string): string[]
}

const SCRIPT = fileURLToPath(new URL('../../../scripts/check-english.mjs', import.meta.url))
const { findings, textFaults } = (await import(SCRIPT)) as CheckEnglish

const BAD = [
  'Who has given up may be taken out.',
  'Whoever asks is answered.',
  'What is kept is sent. What came in time is read first.',
  'The worker answers. Of what is left, nothing is kept.',
  'Those who wait are served first.',
  'is it wedged, or does it only get no CPU?',
  'what came in time is read first',
  'There is more to do here than can be done',
  'Somebody else is at this at the moment',
  'ends them, or the one that the list calls so',
  'Workers do not let V8 guess what lives long',
  'the time-out of a request',
  'a black box is written',
  'an errand of the worker',
  'A connection changes hands.',
  'nobody is refused',
  'the table | Who may read it'
]
const GOOD = [
  'Timed-out callers may be removed.',
  'Is the worker hung, or starved of CPU?',
  'After a stall, pending input is read before timeouts fire.',
  'Server overloaded',
  'The lock is already held',
  "Ends all of a user's sessions, or the one with this handle",
  "Workers disable V8's allocation-site pretenuring",
  'Returns the user who owns the session.',
  'Explains what is stored, and where.',
  'The hang report names the route.',
  'A connection is transferred to another worker.'
]

describe('the English check', () => {
  for (const text of BAD) test(`rejects: ${text}`, () => assert.notDeepEqual(textFaults(text), []))
  for (const text of GOOD) test(`accepts: ${text}`, () => assert.deepEqual(textFaults(text), []))

  test('reads comments and messages of code, and all text of documents', (t) => {
    const root = temporaryFolder(t)
    for (const folder of ['src', 'docs']) mkdirSync(join(root, folder))
    writeFileSync(
      join(root, 'src/code.ts'),
      "// Nobody waits.\nconst nobody = 1\nlog('the time-out came')\n/** What is kept. */\nconst f = 'wedged'\n"
    )
    writeFileSync(join(root, 'docs/page.md'), '# Title\n\n- Who may do this\n')
    assert.deepEqual(
      findings(root).map((line) => line.split(': ', 1)[0]),
      ['src/code.ts:1', 'src/code.ts:3', 'src/code.ts:4', 'docs/page.md:3']
    )
  })
})
