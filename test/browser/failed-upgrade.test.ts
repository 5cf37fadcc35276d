import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { envFile } from '../helpers/failing-upgrades.ts'
import { missing } from '../helpers/programs.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import { failUpgrade, primaryOf } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

/** The first worker boots when a file exists, and the one of slot 1 never does. */
const appWaitingFor = (file: string) => `
  import { existsSync } from 'node:fs'
  export default async (app) => {
    while (!existsSync(${JSON.stringify(file)})) await new Promise((resolve) => setTimeout(resolve, 20))
    if (app.worker.slot === 1) throw new Error('slot 1 is broken')
  }`

test('the console shows the step of an upgrade and the new primary, and the reason when it is rolled back', {
  skip: missing('chromium')
}, async (t) => {
  const folder = temporaryFolder(t)
  const [go, app] = [join(folder, 'go'), join(folder, 'app.mjs')]
  writeFileSync(app, appWaitingFor(go))
  const env = { REDIS: 'off', CANARY_TIME: '100', BOOT_TIMEOUT: '120000', ...TOKENS }
  const [service, browser] = await Promise.all([startService(t, { env, workers: 2 }), openBrowser(t)])
  const own = await ConsolePage.open(browser, service)
  const { page, tab } = own
  await own.workers(2)
  const old = primaryOf(service)
  const failing = failUpgrade(service, ...envFile(t, `APP=${app}\n`))

  const summary = page.locator('#rollout')
  await summary
    .filter({ hasText: 'Upgrading: a worker of the new primary starts; 0 of 2 slots have a new worker.' })
    .waitFor({ timeout: 120_000 })
  const timeline = page.locator('#timelines article', { hasText: 'Upgrade' })
  await timeline.locator('.pill', { hasText: 'under way' }).waitFor()
  await timeline.getByText(new RegExp(`^New primary: muster .* on Node.js ${process.version}, pid \\d+$`)).waitFor()
  await own.healthIs(/^Healthy, and an upgrade is under way\. 2 of 2 workers serve/)

  writeFileSync(go, '')
  assert.match(await failing, /slot 1 is broken/)
  await timeline.locator('.pill', { hasText: 'failed' }).waitFor()
  await timeline.locator('p.refused', { hasText: 'slot 1 is broken' }).waitFor()
  await timeline.getByText(`on Node.js ${process.version}, pid `).waitFor()
  await timeline.locator('li[data-failed=true]', { hasText: 'slot 1 is broken' }).waitFor()
  await summary.filter({ hasText: /^The upgrade failed, and the old primary serves on: .*slot 1 is broken/ }).waitFor()
  await page
    .locator('#attention li[data-level=bad]', { hasText: /^The last upgrade failed: .*slot 1 is broken/ })
    .waitFor()
  await own.workers(2)
  await own.healthIs(/^Healthy: 2 of 2 workers serve/)
  await page.locator('#about', { hasText: `pid ${old}` }).waitFor()
  assert.deepEqual(await tab.faults(), [])
  assert.deepEqual(await tab.faultsOnZoomedPhone(), [])
  await own.isClean()
})
