import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { argumentIssues, argumentsFromWords } from '../../src/admin/command-arguments.ts'
import { registry } from '../../src/admin/registry.ts'

const settingsSet = registry.get('settings-set')
const scale = registry.get('scale')

describe('typed words become arguments', () => {
  for (const [words, args] of [
    [['3'], { workers: 3 }],
    [['+1'], { workers: '+1' }],
    [['-2'], { workers: '-2' }],
    [['x'], { workers: 'x' }],
    [['1', '2'], { workers: 1, 'argument 2': '2' }]
  ] as const) {
    test(`scale ${words.join(' ')}`, () => assert.deepEqual(argumentsFromWords(scale, words), args))
  }

  test('arguments that are text stay text', () => {
    assert.deepEqual(argumentsFromWords(settingsSet, ['banner', '1984']), { key: 'banner', text: '1984' })
    assert.deepEqual(argumentsFromWords(registry.get('sessions-list'), ['42']), { user: '42' })
  })
})

describe('the check of arguments', () => {
  test('names all problems at once', () => {
    assert.equal(
      argumentIssues(settingsSet, { key: '', colour: 1 }),
      'colour: unknown argument; known arguments: key, value, text; key: must be the name of a setting, not ""'
    )
    assert.equal(argumentIssues(settingsSet, {}), 'key: missing; must be the name of a setting')
    assert.equal(argumentIssues(settingsSet, { key: 'banner', value: null }), undefined)
  })

  test('takes no property that every object inherits for an argument', () => {
    assert.match(argumentIssues(scale, JSON.parse('{"__proto__":1,"workers":1}')) ?? '', /^__proto__: unknown argument/)
    assert.match(argumentIssues(scale, { workers: 1, toString: 1 }) ?? '', /^toString: unknown argument/)
  })
})
