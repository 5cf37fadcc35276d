import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { argumentFlag, argumentIssues } from '../../src/admin/command-arguments.ts'
import { registry } from '../../src/admin/registry.ts'
import { complete } from '../../src/cli/completion/complete.ts'
import { commandHelp, help } from '../../src/cli/help/help.ts'
import { issueOf } from '../../src/state/shared/json-schema-check.ts'
import { extendedRegistry, startRunner } from '../helpers/extra-command.ts'

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
/** Completion without a running service. */
const nothing = { slots: async () => [], settings: async () => [] }
const verbsOf = (usage: string) => usage.split(' ').filter((word) => /^[a-z]/.test(word))

describe('each command', () => {
  for (const command of registry.commands) {
    const { name, usage, positional, args, summary, level, result, example, signals = {} } = command

    test(`${name}: the usage lists its arguments, optional ones in brackets`, () => {
      const words = usage.replaceAll(/ \[--.*?\]/g, '').split(' ')
      const flags = [...usage.matchAll(/\[--([\w-]+)( [A-Z]+)?\]/g)].map(([, flag, value]) => [
        flag,
        value !== undefined
      ])
      assert.deepEqual(
        [...positional.map((argument) => [argument, true]), ...flags].sort(),
        Object.entries(args.properties)
          .filter(([one]) => one !== 'value' || name !== 'settings-set')
          .map(([one, schema]) => [argumentFlag(one, schema), schema.type !== 'boolean'])
          .sort()
      )
      const verbs = verbsOf(usage)
      assert.equal(verbs.join('-'), name)
      assert.equal(words.length - verbs.length, positional.length)
      const required: readonly string[] = args.required ?? []
      for (const [i, word] of words.slice(verbs.length).entries()) {
        const argument = positional[i]!
        assert.ok(argument in args.properties, argument)
        // `settings set` takes the value as text; the schema requires neither `text` nor its JSON form, `value`.
        if (argument !== 'text') assert.equal(word.startsWith('['), !required.includes(argument), word)
      }
    })

    test(`${name}: is in the help, in the documentation and in the completion`, async () => {
      const verbs = verbsOf(usage)
      assert.match(help(), new RegExp(`[ ,] ?${verbs.join(' (?:\\w+, )*')}[, ]`), 'help')
      assert.ok(commandHelp(command).includes(`muster ${usage}`), 'help of the command')
      const row = read('docs/reference/commands.md')
        .split('\n')
        .find((line) => line.startsWith(`| \`${name}\` |`))
      assert.ok(row, 'docs/reference/commands.md has no row of it')
      const cells = row.split('|').map((cell) => cell.trim())
      assert.equal(cells[2], `\`muster ${usage}\``)
      assert.equal(cells[3], level)
      assert.equal(cells[4], summary.replaceAll('|', '\\|'))
      for (const i of verbs.keys()) {
        const candidates = await complete([...verbs.slice(0, i), ''], nothing)
        assert.ok(candidates.some(([word]) => word === verbs[i]))
      }
    })

    test(`${name}: the example and the arguments of its signals are valid`, () => {
      for (const given of [example.args, ...Object.values(signals)])
        assert.equal(argumentIssues(command, given), undefined)
      assert.equal(issueOf(result, example.result), undefined)
    })
  }

  test('docs/reference/commands.md documents no other commands', () => {
    const rows = [...read('docs/reference/commands.md').matchAll(/^\| `([a-z-]+)` \| `muster /gm)].map(
      (match) => match[1]
    )
    assert.deepEqual(rows.sort(), [...registry.names].sort())
  })

  test('no signal gives two commands', () => {
    const signals = registry.commands.flatMap((command) => Object.keys(command.signals ?? {}))
    assert.deepEqual(signals.toSorted(), ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGTTIN', 'SIGTTOU', 'SIGUSR2'])
  })
})

describe('a command that is added to the registry', () => {
  test('is in the help and in the completion', async () => {
    assert.match(help(extendedRegistry), /^ {2}greet NAME \[PASSWORD\] +greets someone$/m)
    assert.deepEqual(await complete(['gre'], nothing, extendedRegistry), [['greet', 'greets someone']])
    assert.doesNotMatch(help(), /greet/)
  })

  test('is answered, logged and audited', async () => {
    const { runner, audited } = startRunner()
    const caller = { transport: 'socket', who: 'uid 0 (root)' } as const
    assert.deepEqual(await runner.run('greet', { name: 'Ada', password: 'secret' }, caller), {
      statusCode: 200,
      body: { ok: true, result: 'Hello Ada from web-1', acks: [], missing: [] }
    })
    const { statusCode, body } = await runner.run('greet', { colour: 'secret' }, caller)
    assert.equal(statusCode, 400)
    assert.match('message' in body ? body.message : '', /^colour: unknown argument; .*; name: missing; must be a name$/)
    assert.deepEqual(
      audited.map(({ event, command, ok }) => [event, command, ok]),
      [
        ['command received', 'greet', undefined],
        ['command answered', 'greet', true],
        ['command received', 'greet', undefined],
        ['command answered', 'greet', false]
      ]
    )
    assert.deepEqual(audited[0]!.args, { name: 'Ada', password: '(hidden)' })
    assert.doesNotMatch(JSON.stringify(audited), /"secret"/, 'neither secret nor unknown arguments are recorded')
  })
})
