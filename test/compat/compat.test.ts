import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { openBrowser } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { CASES } from './cases/index.ts'
import { FOLDER, TSC } from './installed.ts'
import { recordResults } from './results.ts'
import { runCase } from './run-case.ts'

/** Cases that run at the same time. */
const JOBS = Number(process.env.COMPAT_JOBS || 3)
/** Names of cases, separated by commas. Default: all. */
const wanted = process.env.COMPAT_CASES?.split(',')
const cases = Object.values(CASES)
  .flat()
  .filter(({ name }) => wanted?.includes(name) ?? true)
const majorVersion = Number.parseInt(process.versions.node, 10)

test('the TypeScript apps pass tsc --strict', async () => {
  await promisify(execFile)(process.execPath, [TSC, '-p', FOLDER], { encoding: 'utf8' }).catch(({ stdout }) =>
    assert.fail(String(stdout))
  )
})

test('apps run unchanged', { concurrency: JOBS, skip: missing('redis-server', 'chromium') }, async (t) => {
  const [redis, browser] = await Promise.all([RedisServer.start(t), openBrowser(t)])
  const passed = new Map<string, boolean>()
  await Promise.all(
    cases.map((one) =>
      t.test(one.name, { skip: whySkipped(one) }, async (t) => {
        passed.set(one.name, false)
        await runCase(t, one, { redis: redis.url, browser })
        passed.set(one.name, true)
      })
    )
  )
  if (process.env.COMPAT_WRITE) recordResults(passed, majorVersion)
})

function whySkipped({ why, since = 0 }: (typeof cases)[number]): string | false {
  if (why) return why
  return majorVersion < since && `needs Node ${since}`
}
