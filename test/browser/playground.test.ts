import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

test('the playground is one file whose simulated service reloads, survives crashes and hangs, and rolls bad releases back', {
  skip: missing('chromium')
}, async (t) => {
  const file = join(temporaryFolder(t), 'playground.html')
  execFileSync(process.execPath, ['scripts/build-playground.mjs', file])
  const tab = await Tab.open(await openBrowser(t), 'http://127.0.0.1')
  const { page } = tab
  await page.goto(pathToFileURL(file).href)
  // Nothing depends on how fast the browser is: time passes by the button alone.
  await page.getByLabel('Speed').selectOption('paused')
  const press = (name: string | RegExp) => page.getByRole('button', { name, exact: true }).click()
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) await press('1 s further')
  }
  const reload = async (release: string) => {
    await page.getByLabel('New release').selectOption(release)
    await press('Reload')
  }
  const ready = (count: number) => tab.count('#workers [data-status=ready]', count)
  const secondGeneration = page.locator('#workers .about', { hasText: 'generation 2' })
  const decided = (text: RegExp) => page.locator('#log [data-kind=decision]', { hasText: text }).first().waitFor()
  await pass(2)
  await ready(4)
  assert.deepEqual(await tab.faults(), [])
  assert.deepEqual(await tab.faultsOnZoomedPhone(), [])

  await t.test('a crashed worker is replaced', async () => {
    await press('Crash worker 1')
    await pass(2)
    await decided(/^.*fork #5 in slot 0, generation 1: after crash/)
    await ready(4)
  })

  await t.test('a hung worker is examined, killed and replaced', async () => {
    await press('Hang worker 2')
    await pass(9)
    await decided(/examine #2 \(slot 1\), which is silent: it hangs/)
    await decided(/kill #2 \(slot 1\)/)
    await ready(4)
  })

  await t.test('a good release replaces every worker after the trial of its canary', async () => {
    await reload('a good release')
    await pass(3)
    await page.locator('#workers b', { hasText: 'canary' }).waitFor()
    await page.locator('#workers b', { hasText: 'control' }).waitFor()
    await pass(25)
    await decided(/the reload to generation 2 is done/)
    await tab.count(secondGeneration, 4)
  })

  for (const release of ['answers with errors', 'cannot boot', 'crashes soon after its start']) {
    await t.test(`a release that ${release} is rolled back`, async () => {
      const failed = page.locator('#log li', { hasText: /^.*the reload to generation \d+ is failed/ })
      const before = await failed.count()
      await reload(release)
      await pass(20)
      await tab.count(failed, before + 1)
      await tab.count(secondGeneration, 4)
    })
  }

  await t.test('stop ends the service when all workers have drained', async () => {
    await press('Stop')
    await pass(3)
    await page.locator('#stage', { hasText: 'The service has ended.' }).waitFor()
    await ready(0)
  })
  assert.deepEqual(tab.problems, [])
})
