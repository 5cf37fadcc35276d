import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

test('every page can be used on a phone at 200 % zoom, light and dark', { skip: missing('chromium') }, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url, DEMO: '1', ...TOKENS }, workers: 2 })
  const tab = await Tab.open(browser, service.url)
  const { page } = tab

  await t.test('the front page, with the buttons of the demonstration', async () => {
    await page.goto('/')
    await page.locator('#connection[data-state=live]').waitFor()
    await page.locator('#muster', { hasText: '2 of 2 ready' }).waitFor()
    await page.getByRole('button', { name: 'Reload all workers' }).waitFor()
    assert.deepEqual(await tab.faultsOnZoomedPhone(), [])
  })

  await t.test('the sign-in page of the console', async () => {
    await page.goto('/admin')
    await page.getByRole('heading', { name: 'Sign in to the console' }).waitFor()
    assert.deepEqual(await tab.faultsOnZoomedPhone(), [])
  })

  await t.test('the console', async () => {
    const own = await ConsolePage.open(browser, service)
    await own.workers(2)
    await own.line('ready').waitFor()
    await own.page.getByRole('button', { name: 'Save banner' }).waitFor()
    assert.deepEqual(await own.tab.faultsOnZoomedPhone(), [])
    await own.press('Stop the service')
    await own.page.getByRole('dialog', { name: 'Stop the service?' }).waitFor()
    assert.deepEqual(await own.tab.faultsOnZoomedPhone(), [])
    await own.isClean()
  })

  await t.test('the page of profiles, before and after a profile was taken', async () => {
    await page.goto('/admin/profiles')
    await page.getByLabel('Control token').waitFor()
    assert.deepEqual(await tab.faultsOnZoomedPhone(), [])
    await page.getByLabel('Control token').fill(TOKENS.ADMIN_TOKEN)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'CPU profiles' }).waitFor()
    await page.getByLabel('Seconds').fill('1')
    await page.getByRole('button', { name: 'Take' }).click()
    await page.getByRole('treeitem', { name: /^all, / }).waitFor()
    assert.deepEqual(await tab.faultsOnZoomedPhone(), [])
  })
  assert.deepEqual(tab.problems, [])
})
