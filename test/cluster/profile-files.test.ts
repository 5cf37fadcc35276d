import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { Deploys } from '../helpers/releases.ts'
import { muster, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const HOARD = `class Hoard { constructor() { this.kept = Array.from({ length: 20000 }, (_, i) => ({ i })) } }
const hoards = []
app.get('/hoard', () => hoards.push(new Hoard()))`

test('profiles and heap snapshots of workers are listed and compared on the command line, with a service and without', async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', HOARD)
  const service = await startService(t, { env: { REDIS: 'off', APP: deploys.app }, workers: 2 })
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await muster(service, ...words)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const answerOf = async (...words: string[]) => JSON.parse(await run(...words, '--json')).result

  const profiles: { slot: number; generation: number; path: string }[] = await answerOf(
    'profile',
    '--all',
    '--seconds',
    '0.5'
  )
  assert.deepEqual(profiles.map(({ slot, generation }) => [slot, generation]).sort(), [
    [0, 1],
    [1, 1]
  ])
  const [a = '', b = ''] = profiles.map(({ path }) => path)
  assert.match(
    await run('profile', 'top', `${a},${b}`),
    /^\d+ of \d+ samples are busy\.\n *self +total +function +at\n/
  )
  // A name in RUN_DIR needs no path.
  assert.match(await run('profile', 'compare', basename(a), b), /^Busy samples: \d+ in A, \d+ in B\.\n/)

  // A snapshot replaces its worker, so the objects are made in one that was just started.
  const before = await answerOf('heap', '0')
  let isHoarding = false
  while (!isHoarding) {
    await fetch(`${service.url}/hoard`, { headers: { connection: 'close' } })
    isHoarding = ((await (await fetch(`${service.url}/release`)).json()) as { slot: number }).slot === 0
  }
  for (let i = 0; i < 20; i++) await fetch(`${service.url}/hoard`, { headers: { connection: 'close' } })
  const after = await answerOf('heap', '0')
  service.child.kill('SIGTERM')
  assert.equal((await service.exited).code, 0)
  const { constructors } = await answerOf('heap', 'compare', before.path, after.path)
  const hoard = constructors.find(({ name }: { name: string }) => name === 'Hoard')
  assert.ok(hoard.objects > hoard.objectsBefore && hoard.retainedBytes > 300_000, JSON.stringify(hoard))
  assert.match(await run('heap', 'top', after.path), /^[\d,]+ objects, .*\.\n *retained +self +objects +constructor\n/)
})

test('a wrong file or a wrong word gets an error that says what to do', async (t) => {
  const runDir = temporaryFolder(t)
  const text = join(runDir, 'text.cpuprofile')
  writeFileSync(text, 'text')
  for (const [words, code, message] of [
    [['profile', 'compare', 'one'], 2, /^muster: name 2 files: A and B\nusage: muster profile compare A B\n$/],
    [['profile', 'top', 'none'], 2, /^muster: there is no file "none": looked in this folder and in /],
    [['profile', 'top', text], 1, /^muster: .*text\.cpuprofile: not a CPU profile: /],
    [['heap', 'top', text], 1, /^muster: .*text\.cpuprofile: not a heap snapshot: /],
    [['heap', 'top', `${text},${text}`], 1, /^muster: heap snapshots cannot be merged: name one file/],
    [['heap', 'compare', text, text, '--all'], 2, /no flag --all/]
  ] as const) {
    const answer = await muster({ runDir }, ...words)
    assert.match(answer.stderr, message)
    assert.equal(answer.code, code, words.join(' '))
  }
})
