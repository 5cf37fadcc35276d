import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fromWords, issuesOf } from '../../src/admin/arguments.ts'
import { COMMAND_NAMES, COMMANDS, type Command } from '../../src/admin/registry.ts'
import { completion, help } from '../../src/cli/help.ts'
import { networkOf } from '../../src/http/plugins/limits/network.ts'
import { fingerprint, Tokens } from '../../src/http/plugins/security/tokens.ts'

const commands: [string, Command][] = COMMAND_NAMES.map((name) => [name, COMMANDS[name]])
const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

describe('the registry, the help, the documentation', () => {
  for (const [name, { usage, positional, args, summary, level }] of commands) {
    test(`${name}: its usage has its arguments, optional ones in brackets`, () => {
      const words = usage.split(' ')
      const verbs = words.filter((word) => /^[a-z]/.test(word))
      assert.equal(verbs.join('-'), name)
      assert.equal(words.length - verbs.length, positional.length)
      const required: readonly string[] = args.required ?? []
      for (const [i, word] of words.slice(verbs.length).entries()) {
        const argument = positional[i]!
        assert.ok(argument in args.properties, argument)
        // What is typed is text, whose value as JSON is another argument.
        if (argument !== 'text') assert.equal(word.startsWith('['), !required.includes(argument), word)
      }
    })

    test(`${name}: in the help, in the documentation and in the completion`, () => {
      assert.ok(help().includes(`  ${usage} `) && help().includes(summary), 'help')
      const row = read('docs/reference/commands.md')
        .split('\n')
        .find((line) => line.startsWith(`| \`${name}\` |`))
      assert.ok(row, 'docs/reference/commands.md has no row of it')
      const cells = row.split('|').map((cell) => cell.trim())
      assert.equal(cells[2], `\`muster ${usage}\``)
      assert.equal(cells[3], level)
      assert.equal(cells[4], summary.replaceAll('|', '\\|'))
      for (const verb of usage.split(' ').filter((word) => /^[a-z]/.test(word))) {
        assert.match(completion('bash')!, new RegExp(`\\b${verb}\\b`))
      }
    })
  }

  test('docs/reference/commands.md has no other commands', () => {
    const rows = [...read('docs/reference/commands.md').matchAll(/^\| `([a-z-]+)` \| `muster /gm)].map(
      (match) => match[1]
    )
    assert.deepEqual(rows.sort(), [...COMMAND_NAMES].sort())
  })

  test('the completion works in bash', () => {
    const complete = (words: string[]) => {
      const quoted = ['muster', ...words].map((word) => `'${word}'`).join(' ')
      const script = `${completion('bash')}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _muster; echo "\${COMPREPLY[@]}"`
      return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split(' ')
    }
    assert.deepEqual(complete(['relo']), ['reload'])
    assert.deepEqual(complete(['sess']), ['sessions'])
    assert.deepEqual(complete(['sessions', 'e']), ['end'])
    assert.deepEqual(complete(['settings', '']).sort(), ['--help', '--json', '--watch', 'get', 'set'])
  })
})

describe('arguments', () => {
  const settingsSet = COMMANDS['settings-set'] as Command
  const scale = COMMANDS.scale as Command
  for (const [words, args] of [
    [['3'], { workers: 3 }],
    [['+1'], { workers: '+1' }],
    [['-2'], { workers: '-2' }],
    [['x'], { workers: 'x' }],
    [['1', '2'], { workers: 1, 'argument 2': '2' }]
  ] as const) {
    test(`scale ${words.join(' ')}`, () => assert.deepEqual(fromWords(scale, words), args))
  }

  test('what is text stays text', () => {
    assert.deepEqual(fromWords(settingsSet, ['banner', '1984']), { key: 'banner', text: '1984' })
    assert.deepEqual(fromWords(COMMANDS['sessions-list'] as Command, ['42']), { user: '42' })
  })

  test('all faults are named at once', () => {
    assert.equal(
      issuesOf(settingsSet, { key: '', colour: 1 }),
      'colour: there is no such argument; there is key, value, text; key: must be the name of a setting, not ""'
    )
    assert.equal(issuesOf(settingsSet, { key: 'banner', value: null }), undefined)
  })

  test('no name of an object that all have is an argument', () => {
    assert.match(issuesOf(scale, JSON.parse('{"__proto__":1,"workers":1}')) ?? '', /^__proto__: there is no such/)
    assert.match(issuesOf(scale, { workers: 1, toString: 1 }) ?? '', /^toString: there is no such/)
  })
})

describe('tokens', () => {
  const tokens = new Tokens({ control: ['a'.repeat(32), 'b'.repeat(40)], read: ['c'.repeat(32)] })
  test('any of several is valid, each for its level', () => {
    assert.equal(tokens.levelOf('a'.repeat(32)), 'control')
    assert.equal(tokens.levelOf('b'.repeat(40)), 'control')
    assert.equal(tokens.levelOf('c'.repeat(32)), 'read')
  })
  for (const wrong of ['', 'a', 'a'.repeat(31), `${'a'.repeat(31)}b`, 'a'.repeat(33), 'A'.repeat(32)]) {
    test(`"${wrong}" is none`, () => assert.equal(tokens.levelOf(wrong), undefined))
  }
  test('digests of one length are compared, in constant time, and all of them', () => {
    const source = read('src/http/plugins/security/tokens.ts')
    assert.match(source, /for \(const known of this\.#known\) if \(timingSafeEqual\(known\.digest, given\)\)/)
    assert.equal(source.includes('break') || source.includes('.find('), false, 'a match is no reason to stop')
  })
  test('a fingerprint tells nothing of the token', () => {
    assert.match(fingerprint('a'.repeat(32)), /^[0-9a-f]{8}$/)
    assert.notEqual(fingerprint('a'.repeat(32)), fingerprint(`${'a'.repeat(31)}b`))
  })
})

describe('the network of a client', () => {
  for (const [address, network] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64']
  ] as const) {
    test(address, () => assert.equal(networkOf(address), network))
  }
})
