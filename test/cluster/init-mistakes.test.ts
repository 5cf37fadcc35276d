import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CLI, cleanEnvironment, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const muster = (cwd: string, ...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd, env: cleanEnvironment(), encoding: 'utf8' })
const describe = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

test('muster init never overwrites: it names all files that are there, and writes none', (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'Dockerfile'), 'mine')
  writeFileSync(join(folder, 'app.ts'), 'mine')
  writeFileSync(join(folder, 'notes.txt'), 'mine')
  symlinkSync('/nowhere', join(folder, '.gitignore'))
  const { status, stdout, stderr } = muster(folder, 'init')
  assert.equal(status, 78)
  assert.equal(stdout, '')
  assert.equal(
    stderr,
    'muster: . has .gitignore, Dockerfile, app.ts already: nothing was written. Name another folder, or move them away\n'
  )
  assert.deepEqual(readdirSync(folder).sort(), ['.gitignore', 'Dockerfile', 'app.ts', 'notes.txt'])
  // The app is app.js here, and the Dockerfile is there already.
  assert.match(muster(folder, 'init', '--javascript').stderr, /^muster: \. has \.gitignore, Dockerfile already/)
})

test('muster init works in a folder with other files, and in a folder that it creates', (t) => {
  const parent = temporaryFolder(t)
  const shop = join(parent, 'My Shöp!')
  mkdirSync(shop)
  writeFileSync(join(shop, 'README.md'), 'mine')
  const here = muster(shop, 'init', '--javascript')
  assert.equal(here.status, 0, here.stderr)
  assert.match(here.stdout, /\nNext:\n {2}npm install\n {2}npm start\n$/)
  assert.equal(describe(shop).name, 'my-shop')
  const deep = muster(parent, 'init', "apps/it's new", '--name', '@me/shop')
  assert.match(deep.stdout, /\n {2}cd 'apps\/it'\\''s new' && npm install\n {2}npm start\n$/)
  assert.equal(describe(join(parent, "apps/it's new")).name, '@me/shop')
})

test('a file in place of the folder is an error of one line', (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'demo'), '')
  const { status, stderr } = muster(folder, 'init', 'demo')
  assert.equal(status, 78)
  assert.match(stderr, /^muster: demo cannot be written: E.*\n$/)
})

const MISTAKES: [args: string[], answer: RegExp][] = [
  [['int'], /unknown command 'int', did you mean 'init'\?/],
  [['init', '--javscript'], /unknown flag --javscript, did you mean --javascript\?/],
  [['init', '--port', '80'], /unknown flag --port: `muster init --help` lists the flags/],
  [['init', '--name'], /--name needs a value/],
  [['init', '--name', 'My Shop'], /--name must be a package name of npm.*not "My Shop"/],
  [['init', '--typescript=yes'], /--typescript takes no value, not "yes"/],
  [['init', '--typescript', '--javascript'], /--typescript or --javascript, not both/],
  [['init', 'one', 'two'], /one folder is named, not 2: one, two/]
]

test('typing mistakes are named, with the remedy, and nothing is written', (t) => {
  const folder = temporaryFolder(t)
  for (const [args, answer] of MISTAKES) {
    const { status, stderr } = muster(folder, ...args)
    assert.equal(status, 2, args.join(' '))
    assert.match(stderr, answer)
    assert.ok(stderr.split('\n').length <= 4, stderr)
  }
  assert.deepEqual(readdirSync(folder), [])
})

test('the help of muster init fits on a screen, and every way to it shows the same', (t) => {
  const folder = temporaryFolder(t)
  const texts = [
    ['init', '--help'],
    ['init', '-h'],
    ['help', 'init']
  ].map((args) => muster(folder, ...args).stdout)
  assert.match(texts[0]!, /^Usage: muster init \[FOLDER\]/)
  assert.ok(texts[0]!.split('\n').every((line) => line.length < 80))
  assert.deepEqual(texts, [texts[0], texts[0], texts[0]])
  assert.match(muster(folder, '--help').stdout, /\binit\b/)
  assert.ok(!existsSync(join(folder, 'package.json')))
})
