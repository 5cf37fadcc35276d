import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { checkServed } from '../../src/http/check-app-options.ts'
import { EXCEPTIONS, isEnvironment, testOf } from '../helpers/block-tests.ts'
import { COMPARED_PAGES } from '../helpers/compared-pages.ts'
import { compileModule } from '../helpers/compile.ts'
import { blocksOf, commandsOf, PAGES, ROOT, readPage } from '../helpers/documents.ts'

const blocks = PAGES.flatMap(blocksOf)
const mine = blocks.filter((block) => testOf(block) === 'unit/docs-blocks')
const named = ({ page, line, code }: (typeof blocks)[number]) => `${page}:${line}: ${code.split('\n', 1)[0]}`

test('a test runs or compares every block of the documentation', () => {
  assert.ok(blocks.length > 150, `${blocks.length} blocks`)
  assert.deepEqual(blocks.filter((block) => testOf(block) === undefined).map(named), [])
  const tests = new Set(blocks.map((block) => testOf(block)).filter((name) => name !== 'exception'))
  for (const name of tests) assert.ok(existsSync(join(ROOT, 'test', `${name}.test.ts`)), name)
})

test('every fence is part of a block', () => {
  for (const page of PAGES) {
    const fences = readPage(page).match(/^ *```/gm)?.length ?? 0
    assert.equal(fences, 2 * blocksOf(page).length, page)
  }
})

test('each exception is still needed, and the test that it names exists', () => {
  const first = new Set(
    blocks.filter((block) => testOf(block) === 'exception').map(({ code }) => code.split('\n', 1)[0])
  )
  assert.deepEqual([...first].sort(), Object.keys(EXCEPTIONS).sort())
  for (const reason of Object.values(EXCEPTIONS)) {
    const [name] = /\b(?:unit|cluster|long)\/[\w-]+/.exec(reason) ?? []
    if (name) assert.ok(existsSync(join(ROOT, 'test', `${name}.test.ts`)), name)
  }
})

test('code whose packages are not installed here is that of an app of the compatibility suite', () => {
  for (const [page, files] of Object.entries(COMPARED_PAGES)) {
    const tested = files.map((file) => readFileSync(join(ROOT, file), 'utf8'))
    const code = blocksOf(page).filter(({ file }) => file !== undefined)
    assert.ok(code.length > 0, page)
    for (const block of code) {
      const [, ...rest] = block.code.split('\n')
      assert.ok(tested.includes(rest.join('\n')), `${named(block)} differs from ${files.join()}`)
    }
  }
})

test('JSON and YAML in the documentation is valid, and names variables that exist', () => {
  const variables = readFileSync(join(ROOT, '.env.example'), 'utf8')
  for (const block of mine) {
    if (block.page in COMPARED_PAGES) continue
    if (block.language === 'json') assert.ok(JSON.parse(block.code), named(block))
    if (block.language === 'yaml') {
      assert.ok(parse(block.code), named(block))
      for (const [, name] of block.code.matchAll(/name: ([A-Z_]+)|^ +([A-Z]{3,}[A-Z_]*): /gm)) {
        if (name) assert.match(variables, new RegExp(`^# ${name}=`, 'm'), named(block))
      }
    }
    if (!isEnvironment(block)) continue
    // OTEL_* variables are read by packages of OpenTelemetry; compat/telemetry sets the ones of this page.
    for (const [, name] of block.code.matchAll(/^(?!OTEL_)([A-Z_]+)=/gm)) {
      assert.match(variables, new RegExp(`^# ${name}=`, 'm'), named(block))
    }
  }
})

test('programs in the documentation compile', () => {
  const programs = mine.filter(({ language, page }) => /^(ts|js)$/.test(language) && !(page in COMPARED_PAGES))
  assert.ok(programs.length > 0)
  for (const [i, program] of programs.entries()) {
    assert.equal(compileModule(`program-${i}`, program.code), '', named(program))
  }
})

test('the message about invalid options in docs/reference/app-options.md is what the check says', () => {
  const [{ code } = { code: '' }] = blocksOf('docs/reference/app-options.md').filter(({ language }) => language === '')
  assert.throws(
    () => checkServed({ options: { sesions: false } as object, serverOptions: { trustProxy: true } }),
    ({ message }: Error) => message === code.trim()
  )
})

test('each scenario of the bench that the documentation runs exists', () => {
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(commandsOf)
  const scenarios = commands.flatMap((command) => /^npm run bench -- ([a-z]+)/.exec(command)?.[1] ?? [])
  assert.ok(scenarios.length > 0)
  for (const name of scenarios) assert.ok(existsSync(join(ROOT, 'bench/scenarios', `${name}.ts`)), name)
})
