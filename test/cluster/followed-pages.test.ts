import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FOLLOWED, testOf } from '../helpers/block-tests.ts'
import { blocksOf, EXAMPLES, PAGES } from '../helpers/documents.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import { linkPackages, Walkthrough } from '../helpers/walkthrough.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

// cluster/examples follows those of the examples.
for (const page of FOLLOWED.filter((name) => !EXAMPLES.includes(name))) {
  test(`${page}: what it says works as it stands`, async (t) => {
    await Walkthrough.follow(t, page)
  })
}

test('every program in the documentation that listens is served', async (t) => {
  const { url } = await startRedis(t)
  const folder = temporaryFolder(t)
  linkPackages(folder)
  const programs = PAGES.flatMap(blocksOf).filter(
    (block) => block.language === 'js' && block.file === undefined && testOf(block) === 'cluster/followed-pages'
  )
  assert.ok(programs.length > 0)
  for (const { page, line, code } of programs) {
    const app = join(folder, `line-${line}.mjs`)
    writeFileSync(app, code)
    const service = await startService(t, { env: { REDIS_URL: url, APP: app }, workers: 1 })
    assert.equal((await fetch(service.url)).status, 200, `${page}:${line}`)
  }
})
