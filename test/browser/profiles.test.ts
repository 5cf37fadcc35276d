import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { missing } from '../helpers/programs.ts'
import { Deploys } from '../helpers/releases.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const ROUTE = `function priceOrder() { let sum = 0; for (let i = 0; i < 300000; i++) sum = (sum + i * 31) % 1000003; return sum }
app.get('/order', { config: { session: false } }, async () => ({ sum: priceOrder() }))`
/** Controls that are smaller than a finger needs, by their text. */
const SMALL = `[...document.querySelectorAll('button, select, input, a')].filter((node) => node.checkVisibility())
  .map((node) => [node.ariaLabel || node.textContent || node.id, node.getBoundingClientRect()])
  .filter(([, { width, height }]) => width < 44 || height < 44).map(([name]) => name)`

test('the page of profiles, in a real browser', { skip: missing('chromium') }, async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', ROUTE)
  const [browser, service] = await Promise.all([
    openBrowser(t),
    startService(t, { env: { REDIS: 'off', APP: deploys.app, ...TOKENS }, workers: 2 })
  ])
  keepBusy(t, `${service.url}/order`)
  const tab = await Tab.open(browser, service.url)
  const { page } = tab
  const frame = (name: RegExp) => page.getByRole('treeitem', { name })
  const functions = page.locator('#functions tbody tr')

  await t.test('asks for the control token, and refuses the read token', async () => {
    await page.goto('/admin/profiles')
    await page.getByLabel('Control token').fill(TOKENS.ADMIN_READ_TOKEN)
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'A control token is needed' }).waitFor()
    assert.deepEqual(await tab.faults(), [])
    tab.problems.length = 0 // the browser reports the refusal
    await page.getByLabel('Control token').fill(TOKENS.ADMIN_TOKEN)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'CPU profiles' }).waitFor()
  })

  await t.test('takes a profile of all workers, and shows one flame graph of both', async () => {
    await page.getByLabel('Seconds').fill('1')
    await page.getByRole('button', { name: 'Take' }).click()
    await frame(/^priceOrder, /)
      .first()
      .waitFor()
    await tab.count('#files tbody tr', 2)
    await tab.shows('#files', /slot 0 · pid \d+ · generation 1/)
    await functions.filter({ hasText: 'priceOrder' }).filter({ hasText: 'app.mjs:' }).waitFor()
    assert.deepEqual(await page.evaluate(SMALL), [])
  })

  await t.test('zooms by mouse and by keyboard, and searches', async () => {
    await frame(/^priceOrder, /)
      .first()
      .click()
    const width = async () =>
      (await frame(/^priceOrder, /)
        .first()
        .boundingBox())!.width
    const all = (await page.locator('#flame').boundingBox())!.width
    await until(async () => (await width()) > all * 0.95, 'it is as wide as the graph')
    await page.keyboard.press('Home')
    await page.keyboard.press('Enter')
    await page.keyboard.press('ArrowDown')
    const label = () => page.evaluate('document.activeElement.ariaLabel')
    await until(async () => /^(?!all, ).+ %$/.test(String(await label())), 'the focus on a child')
    await page.keyboard.press('ArrowUp')
    await until(async () => /^all, 100\.0 %$/.test(String(await label())), 'the focus on the root')
    await page.keyboard.press('/')
    await page.keyboard.type('priceorder')
    await page.locator('#found', { hasText: /^matches \d+\.\d %$/ }).waitFor()
    await page.locator('.frame.match').first().waitFor()
    assert.deepEqual(await tab.faults(), [])
    await page.getByLabel('Search').fill('')
  })

  await t.test('compares one worker with the other, and a link shows the same', async () => {
    await page.getByLabel(/^Base: slot 0/).click()
    await page.getByLabel(/^New: slot 0/).click()
    await page.getByRole('heading', { name: 'Differential flame graph' }).waitFor()
    await frame(/^priceOrder .*, before /)
      .first()
      .waitFor()
    await functions.filter({ hasText: 'priceOrder' }).filter({ hasText: '±' }).waitFor()
    await page.getByLabel('Width by').selectOption('Base')
    await frame(/^priceOrder /)
      .first()
      .waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'Differential flame graph' }).waitFor()
  })

  await t.test('saves the file that Chrome DevTools reads', async () => {
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: /^Save profile-0-.*\.cpuprofile/ }).click()
    ])
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(await saved.path(), 'utf8'))
    assert.ok(nodes.length > 3 && samples.length > 3 && timeDeltas.length === samples.length)
  })

  await t.test('shows the constructors of a heap snapshot by retained size, and compares two', async () => {
    for (const slot of [0, 1]) assert.equal((await command(service, 'heap', { slot })).body.ok, true)
    // Without the flame graph: its many elements take axe long.
    await page.goto('/admin/profiles')
    await page
      .getByLabel(/^New: slot 0/)
      .last()
      .click()
    const rows = page.locator('#constructors tbody tr')
    await page.locator('#heap-note', { hasText: / objects, .* MiB\. Retained/ }).waitFor()
    await rows.filter({ hasText: '(compiled code)' }).waitFor()
    await page
      .getByLabel(/^Base: slot 1/)
      .last()
      .click()
    await page.locator('#heap-note', { hasText: /^New: .*Base: / }).waitFor()
    await rows.nth(20).waitFor()
    assert.deepEqual(await tab.faults(), [])
  })

  await t.test('says so when a file is gone', async () => {
    await page.goto('/admin/profiles#new=profile-9-9-20260131T120000000Z.cpuprofile')
    await page.locator('#state', { hasText: /cpuprofile is gone: / }).waitFor()
    tab.problems.length = 0
  })
  assert.deepEqual(tab.problems, [])
})

/** Sends requests one after the other until the test ends. */
function keepBusy(t: Parameters<typeof cleanup>[0], url: string): void {
  let isOver = false
  const run = async () => {
    while (!isOver)
      await fetch(url).then(
        (response) => response.arrayBuffer(),
        () => {}
      )
  }
  const clients = [run(), run(), run()]
  cleanup(t, () => {
    isOver = true
    return Promise.all(clients)
  })
}
