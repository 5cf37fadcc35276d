import assert from 'node:assert/strict'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { fixture } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startService } from '../helpers/service.ts'
import { EndlessAnswer } from '../helpers/slow-transfer.ts'
import '../helpers/takes-long.ts'

test('the console shows a replaced worker that lingers for a download, in the list and in the timeline, until it ends', {
  skip: missing('chromium')
}, async (t) => {
  const env = { REDIS: 'off', APP: fixture('linger'), DRAIN_TIMEOUT: '2000', CANARY_TIME: '0', ...TOKENS }
  const [service, browser] = await Promise.all([startService(t, { env, workers: 1 }), openBrowser(t)])
  const own = await ConsolePage.open(browser, service)
  const { page, tab } = own
  const [old] = service.workers().keys()
  const download = await EndlessAnswer.begin(t, service.port, '/download')
  const { body } = await command(service, 'reload')
  assert.equal((body as { result: { outcome: string } }).result.outcome, 'done')

  const row = page.locator('#list > li', { hasText: `pid ${old} ` })
  await row.locator('.pill', { hasText: 'lingering' }).waitFor()
  await row.getByText('1 download, oldest').waitFor()
  await page.locator('#rollout', { hasText: /^done: generation 2 .* · 1 worker lingers$/ }).waitFor()
  await page.getByRole('link', { name: '1 replaced worker lingers for long requests.' }).waitFor()
  const timeline = page.locator('#timelines article', { hasText: 'Reload to generation 2' })
  const lane = timeline.locator('li')
  await lane.getByText('lingers: 1 download').waitFor()
  await timeline.getByRole('img', { name: /^Slot 0: .*old worker drains .*old worker lingers at .*, still$/ }).waitFor()
  await lane.locator('rect.lingering').waitFor({ state: 'attached' })
  await own.line('lingers').waitFor()
  assert.ok(download.isOpen, 'the reload cut the download')
  assert.deepEqual(await tab.faults(), [])
  assert.deepEqual(await tab.faultsOnZoomedPhone(), [])

  download.stop()
  await row.waitFor({ state: 'detached' })
  await own.workers(1)
  await page.locator('#rollout', { hasText: /^done: generation 2 in [^·]*$/ }).waitFor()
  await lane.getByText(/lingers/).waitFor({ state: 'detached' })
  await timeline.getByRole('img', { name: /old worker lingers at [\d.,]+ (s|min)[^,]*$/ }).waitFor()
  await own.isClean()
})
