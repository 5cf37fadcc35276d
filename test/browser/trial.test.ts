import assert from 'node:assert/strict'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { Deploys } from '../helpers/releases.ts'
import { startService } from '../helpers/service.ts'

test('the console plots the canary against the control, and an operator promotes it there', {
  skip: missing('chromium')
}, async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const [browser, service] = await Promise.all([
    openBrowser(t),
    startService(t, { env: { REDIS: 'off', APP: deploys.app, ...TOKENS }, workers: 2 })
  ])
  const tab = await Tab.open(browser, service.url)
  const { page } = tab
  await page.goto('/admin')
  await page.getByLabel('Admin token').fill(TOKENS.ADMIN_TOKEN)
  await page.keyboard.press('Enter')
  await page.locator('#connection[data-state=live]').waitFor()
  assert.equal(await page.locator('#trial').isVisible(), false, 'there is no trial')

  deploys.deploy('2.0.0')
  const reloaded = command(service, 'reload', { for: '1h' })
  const trial = page.getByRole('region', { name: 'Trial of the new release' })
  await trial.getByText(/^Judged for .* of 3,600 s\. 5 % of new connections each\. Canary: 0 requests/).waitFor()
  await trial.getByRole('row', { name: /^Connections with errors/ }).waitFor()
  assert.equal(await trial.getByRole('img').count(), 7, 'one plot for each measure')
  assert.deepEqual(await tab.faults(), [])
  await trial.getByRole('button', { name: 'Promote' }).click()
  await page.locator('#results .done', { hasText: 'promote: generation 2' }).waitFor()
  const { body } = await reloaded
  assert.equal((body as { result: { outcome: string } }).result.outcome, 'done')
  await trial.waitFor({ state: 'hidden' })
  await page.locator('#rollout', { hasText: /^done: generation 2/ }).waitFor()
  assert.deepEqual(tab.problems, [])
})
