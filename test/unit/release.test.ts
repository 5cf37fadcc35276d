import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Releases } from '../../src/primary/rollout/release.ts'
import { temporaryFolder } from '../helpers/service.ts'

/** A folder with releases 1 and 2, and a link to the first. */
function setting(t: TestContext) {
  const folder = temporaryFolder(t)
  for (const version of ['1', '2']) {
    mkdirSync(join(folder, version, 'lib'), { recursive: true })
    writeFileSync(join(folder, version, 'package.json'), JSON.stringify({ version: `${version}.0.0` }))
    writeFileSync(join(folder, version, 'main.js'), `release ${version}`)
    writeFileSync(join(folder, version, 'lib', 'part.mjs'), 'part')
  }
  symlinkSync('1', join(folder, 'current'))
  const at = (...parts: string[]) => join(folder, ...parts)
  const swap = (version: string) => {
    symlinkSync(version, at('next'))
    renameSync(at('next'), at('current'))
  }
  return { at, swap, releases: new Releases(at('current', 'main.js'), undefined) }
}

test('a release is the target of a link, and stays there when the link changes', (t) => {
  const { at, swap, releases } = setting(t)
  const one = releases.take(1)
  assert.equal(one.exec, at('1', 'main.js'))
  assert.match(one.id, /^1\.0\.0-[0-9a-f]{8}$/)
  swap('2')
  const two = releases.take(2)
  assert.equal(two.exec, at('2', 'main.js'))
  assert.match(two.id, /^2\.0\.0-/)
  assert.ok(releases.isOnDisk(one) && releases.isOnDisk(two))
  assert.equal(releases.of(1), one)
  rmSync(at('1'), { recursive: true })
  assert.ok(!releases.isOnDisk(one) && releases.isOnDisk(two))
})

test('a release consists of the code beside and below its module, and of its package files', (t) => {
  const { at, releases } = setting(t)
  const release = releases.take(1)
  mkdirSync(at('1', 'node_modules', 'x'), { recursive: true })
  mkdirSync(at('1', '.cache'))
  writeFileSync(at('1', 'node_modules', 'x', 'index.js'), 'x')
  writeFileSync(at('1', '.cache', 'x.js'), 'x')
  writeFileSync(at('1', 'some.log'), 'x')
  writeFileSync(at('1', 'main.d.ts'), 'x')
  utimesSync(at('1', 'main.js'), 1, 1)
  assert.ok(releases.isOnDisk(release), 'what is no code changes nothing, nor does a file that was only touched')
  for (const file of ['lib/part.mjs', 'package.json', 'main.js']) {
    const before = releases.take(1)
    appendFileSync(at('1', file), ' ')
    assert.ok(!releases.isOnDisk(before), file)
  }
  const before = releases.take(1)
  renameSync(at('1', 'lib', 'part.mjs'), at('1', 'lib', 'other.mjs'))
  assert.ok(!releases.isOnDisk(before), 'a file of another name')
})

test('a missing release cannot be taken, and code that just changed is not settled', (t) => {
  const { at, swap, releases } = setting(t)
  releases.take(1)
  assert.equal(releases.isSettled(60_000), false)
  assert.equal(releases.isSettled(0), true)
  appendFileSync(at('1', 'main.js'), ' ')
  assert.equal(releases.isSettled(1), false)
  swap('3')
  assert.throws(() => releases.take(2), /ENOENT/)
  assert.equal(releases.isSettled(0), false)
  assert.throws(() => releases.of(2), /generation 2 has no release/)
})

test('the user’s module is part of the release', (t) => {
  const { at } = setting(t)
  const releases = new Releases(at('current', 'main.js'), at('2', 'main.js'))
  const release = releases.take(1)
  assert.equal(release.app, at('2', 'main.js'))
  assert.match(release.id, /^2\.0\.0-/, 'its version is what people know')
  appendFileSync(at('2', 'lib', 'part.mjs'), ' ')
  assert.ok(!releases.isOnDisk(release))
})
