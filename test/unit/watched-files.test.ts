import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { WatchedFiles } from '../../src/primary/development/watched-files.ts'
import { temporaryFolder } from '../helpers/service.ts'

function watched(t: TestContext): { files: WatchedFiles; folder: string; write: (name: string) => string } {
  const folder = temporaryFolder(t)
  const files = new WatchedFiles()
  t.after(() => files.close())
  let version = 0
  const write = (name: string) => {
    const path = join(folder, name)
    // Two writes may have the same time, so each has another size.
    writeFileSync(path, 'x'.repeat(++version))
    return path
  }
  return { files, folder, write }
}

/** Resolves with the paths of the next change, after `act`. */
async function changeAfter(files: WatchedFiles, act: () => void): Promise<string[]> {
  const changed = once(files, 'change') as Promise<[string[]]>
  act()
  return (await changed)[0]
}

test('several writes are one change, and only of watched files', async (t) => {
  const { files, write } = watched(t)
  const [first, second] = [write('first.js'), write('second.js')]
  files.add(first)
  files.add(second)
  const changed = await changeAfter(files, () => {
    write('data.json')
    write('other.js')
    write('first.js')
    write('second.js')
    write('first.js')
  })
  assert.deepEqual(changed.sort(), [first, second])
})

test('a file that an editor replaces by another one is still watched', async (t) => {
  const { files, folder, write } = watched(t)
  const file = write('app.js')
  files.add(file)
  for (let i = 0; i < 3; i++) {
    const changed = await changeAfter(files, () => renameSync(write('app.js.tmp'), join(folder, 'app.js')))
    assert.deepEqual(changed, [file])
  }
})

test('a file that was modified after it was loaded and before it was watched has changed', async (t) => {
  const { files, write } = watched(t)
  const file = write('app.js')
  assert.deepEqual(await changeAfter(files, () => files.add(file, 1)), [file])
})

test('a file in a folder that does not exist yet, and one whose folder is removed and comes back', async (t) => {
  const { files, folder, write } = watched(t)
  const file = join(folder, 'lib/deep/app.js')
  files.add(file)
  const create = () => {
    mkdirSync(join(folder, 'lib/deep'), { recursive: true })
    write('lib/deep/app.js')
  }
  const remove = () => rmSync(join(folder, 'lib'), { recursive: true })
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await changeAfter(files, create), [file])
    assert.deepEqual(await changeAfter(files, remove), [file])
  }
})

test('new code beside a watched file counts only while the code does not start', async (t) => {
  const { files, folder, write } = watched(t)
  const file = write('app.js')
  files.add(file)
  const changed = await changeAfter(files, () => {
    write('new.ts')
    write('app.js')
  })
  assert.deepEqual(changed, [file])
  files.seesNewCode = true
  const seen = await changeAfter(files, () => {
    write('notes.txt')
    write('newer.ts')
  })
  assert.deepEqual(seen, [join(folder, 'newer.ts')])
})

test('every file below a watched folder counts, also in folders that are made later', async (t) => {
  const { files, folder, write } = watched(t)
  mkdirSync(join(folder, 'views/node_modules'), { recursive: true })
  const page = write('views/page.html')
  files.addPath(join(folder, 'views'))
  const changed = await changeAfter(files, () => {
    write('views/node_modules/x.js')
    write('views/.hidden')
    write('views/page.html')
  })
  assert.deepEqual(changed, [page])
  await changeAfter(files, () => mkdirSync(join(folder, 'views/parts')))
  assert.deepEqual(await changeAfter(files, () => write('views/parts/part.html')), [
    join(folder, 'views/parts/part.html')
  ])
  assert.throws(() => files.addPath(join(folder, 'absent')), /ENOENT/)
})
