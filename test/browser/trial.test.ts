import assert from 'node:assert/strict'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { Deploys } from '../helpers/releases.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

test('the console plots the canary against the control, and an operator promotes it there', {
  skip: missing('chromium')
}, async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const [browser, service] = await Promise.all([
    openBrowser(t),
    startService(t, { env: { REDIS: 'off', APP: deploys.app, ...TOKENS }, workers: 2 })
  ])
  const own = await ConsolePage.open(browser, service)
  const { page, tab } = own
  assert.equal(await page.locator('#trial').isVisible(), false, 'there is no trial')

  deploys.deploy('2.0.0')
  const reloaded = command(service, 'reload', { for: '1h' })
  const trial = page.getByRole('region', { name: 'Trial of the new release' })
  await trial.getByText(/^Judged for .* of 3,600 s\. 5 % of new connections each\. Canary: 0 requests/).waitFor()
  await trial.getByRole('row', { name: /^Connections with errors/ }).waitFor()
  // One plot for each measure.
  await tab.count(trial.getByRole('img'), 7)
  assert.deepEqual(await tab.faults(), [])
  await trial.getByRole('button', { name: 'Promote' }).click()
  await own.result('promote: generation 2')
  const { body } = await reloaded
  assert.equal((body as { result: { outcome: string } }).result.outcome, 'done')
  await trial.waitFor({ state: 'hidden' })
  await page.locator('#rollout', { hasText: /^done: generation 2/ }).waitFor()
  const lane = page.getByRole('img', { name: /^Slot 0: new worker starts/ })
  await lane.locator('rect.trial').waitFor({ state: 'attached' })
  await page.getByText(/^Verdict on the canary: promoted after/).waitFor()
  assert.deepEqual(tab.problems, [])
})
