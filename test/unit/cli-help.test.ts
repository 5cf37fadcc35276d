import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { registry } from '../../src/admin/registry.ts'
import { LOCAL, verbsOf } from '../../src/cli/help/help.ts'
import { helpPage } from '../../src/cli/help/pages.ts'
import { environmentSchema } from '../../src/config/environment-schema.ts'

const ROWS = 24
const COLUMNS = 80

describe('each help page fits on one screen and has an example', () => {
  for (const words of [[], ...[...registry.commands, ...LOCAL].map(verbsOf)]) {
    test(`muster help ${words.join(' ')}`, () => {
      const page = helpPage(words)
      const lines = page.trimEnd().split('\n')
      // The prompt of the shell takes one row.
      assert.ok(lines.length < ROWS, `${lines.length} lines`)
      assert.deepEqual(
        lines.filter((line) => line.length > COLUMNS),
        []
      )
      assert.match(page, /^Usage: muster /)
      const [, example = ''] = /Example: +(.*muster .*)$/m.exec(page) ?? []
      assert.ok(example.includes(words.length > 0 ? `muster ${words.join(' ')}` : 'muster'), example)
    })
  }
})

test('muster help variables explains every variable, or those about a word', () => {
  const all = helpPage(['variables'])
  for (const name of Object.keys(environmentSchema.properties)) assert.match(all, new RegExp(`^${name} `, 'm'))
  // A list of ciphers is one word.
  assert.ok(all.split('\n').every((line) => line.length <= COLUMNS || !line.trim().includes(' ')))
  const some = helpPage(['variables', 'trust'])
  assert.match(some, /^TRUST_PROXY {2}--trust-proxy$/m)
  assert.doesNotMatch(some, /^PORT /m)
  assert.match(helpPage(['variables', 'nothing-of-this-name']), /^no setting is about 'nothing-of-this-name'/)
})

test('the help of a secret names no flag', () => {
  assert.match(helpPage(['variables', 'ADMIN_TOKEN']), /^ADMIN_TOKEN {2}\(no flag: other users would see it\)$/m)
})
