import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

test('with DEMO=1 a visitor kills workers and reloads, and sees that nothing breaks', {
  skip: missing('chromium')
}, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url, DEMO: '1', ...TOKENS }, workers: 2 })
  const tab = await Tab.open(browser, service.url)
  const { page } = tab
  await page.goto('/')
  const live = page.locator('#connection[data-state=live]')
  await live.waitFor()
  const feeder = async () => Number(await page.locator('#workers [data-here]').getAttribute('data-pid'))
  const first = await feeder()

  await page.getByRole('button', { name: 'Kill the worker that serves you' }).click()
  await page.locator('#demo-result', { hasText: `process ${first}, was killed` }).waitFor()
  await until(async () => (await feeder().catch(() => first)) !== first, 'another worker feeds the page')
  await page.locator('#muster', { hasText: '2 of 2 ready' }).waitFor()

  await page.getByRole('button', { name: 'Reload all workers' }).click()
  await page
    .locator('#demo-result', { hasText: /^Reload done: generation 2 after .* connections transferred/ })
    .waitFor()
  await until(async () => Number(await tab.text('#answered')) >= 20, 'answers')
  assert.equal(await tab.text('#failed'), '0')
  assert.deepEqual(await tab.faults(), [])
  await page.getByRole('link', { name: 'Console' }).click()
  await page.getByRole('heading', { name: 'Sign in to the console' }).waitFor()
  assert.deepEqual(tab.problems, [])
})
