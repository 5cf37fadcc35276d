import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { primaryOf } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

test('the console starts an upgrade, stays live through it, and draws it as a timeline', {
  skip: missing('chromium')
}, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url, ...TOKENS }, workers: 2 })
  const own = await ConsolePage.open(browser, service)
  const { page, tab } = own
  await own.workers(2)
  await page.evaluate('window.same = true')
  const old = primaryOf(service)
  await own.press('Upgrade primary')
  await own.answer('Upgrade the primary?', 'Upgrade')
  const timeline = page.locator('#timelines article', { hasText: 'Upgrade' })
  await timeline.locator('.pill', { hasText: 'done' }).waitFor({ timeout: 120_000 })
  const successor = primaryOf(service)
  assert.notEqual(successor, old)
  await page.locator('#about', { hasText: `pid ${successor}` }).waitFor({ timeout: 60_000 })
  await own.workers(2)
  await own.healthIs(/^Healthy: 2 of 2 workers serve/)
  for (const slot of [0, 1]) {
    await timeline.getByRole('img', { name: new RegExp(`^Slot ${slot}: .*new worker serves`) }).waitFor()
  }
  assert.equal(await page.evaluate('window.same'), true)
  assert.deepEqual(await tab.faults(), [])
  await own.isClean()
})
