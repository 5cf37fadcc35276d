import assert from 'node:assert/strict'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const SETTINGS = `
  app.shared.settings.declare('flavour', { type: 'string', maxLength: 20, description: 'of the ice' }, 'plain')
  app.shared.settings.declare('scoops', { type: 'integer', minimum: 1, maximum: 5 }, 2)
  app.shared.settings.declare('toppings', { type: 'array', items: { type: 'string' } }, [])`

test('the console when something needs attention', { skip: missing('chromium') }, async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', SETTINGS)
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const env = { REDIS_URL: url, APP: deploys.app, WORKERS: '1..3', ...TOKENS }
  const service = await startService(t, { env, workers: 1 })
  const own = await ConsolePage.open(browser, service)
  const { page, tab } = own

  await t.test(
    'a release that cannot boot: a red line, a failed lane, and a folded stack trace with its newlines',
    async () => {
      deploys.deploy('2.0.0', `throw new Error('no database')`)
      await own.press('Reload workers')
      await page
        .locator('#attention li[data-level=bad]', { hasText: /The last reload failed: .*no database/ })
        .waitFor()
      await page.locator('#timelines .pill', { hasText: 'failed' }).waitFor()
      await page.locator('#timelines li[data-failed=true]', { hasText: 'no database' }).waitFor()
      const line = page.locator('#journal > li[data-level=bad]', { hasText: 'cannot boot' }).first()
      const stack = line.locator('pre')
      assert.equal(await stack.isVisible(), false, 'it is folded')
      await line.locator('summary').click()
      await stack.waitFor()
      const lines = (await stack.innerText()).split('\n')
      assert.ok(
        lines.some((text) => /^\s*at .*app\.mjs/.test(text)),
        lines.join('|')
      )
      await own.healthIs(/^Healthy: 1 of 1 worker serves/)
    }
  )

  await t.test('a link below the first line leads to the part that has the details', async () => {
    await page.getByRole('link', { name: /The last reload failed/ }).click()
    await page.waitForFunction("location.hash === '#rollouts'")
  })

  await t.test('the journal has a filter for failures and words', async () => {
    await page.getByLabel('Show').selectOption('failures')
    await own.count('#journal > li:not([data-level=bad]):not(.day)', 0)
    await own.line('cannot boot').waitFor()
    await page.getByLabel('Show').selectOption('everything')
    await page.getByLabel('Contains').fill('no such word')
    await page.getByText('No entry matches.').waitFor()
    await page.getByLabel('Contains').fill('reload begins')
    await own.line('reload begins').waitFor()
    await page.getByLabel('Contains').fill('')
    await page.getByLabel('From').selectOption('the last hour')
    await own.line('start').waitFor()
  })

  await t.test('adds a route to the quarantine after a question, and lifts it', async () => {
    await page.getByLabel('Route to refuse').fill('POST /todos')
    await page.keyboard.press('Enter')
    await own.answer('Quarantine POST /todos?', 'Quarantine the route')
    await page.locator('#quarantined li', { hasText: /POST \/todos.*added by an operator/ }).waitFor()
    await page.locator('#attention', { hasText: 'POST /todos is quarantined' }).waitFor()
    await own.press('Lift the quarantine of POST /todos')
    await page.getByText('No route is quarantined.').waitFor()
  })

  await t.test('makes a form of the schemas of settings, checks it, and sends what fits', async () => {
    const scoops = page.getByLabel('scoops', { exact: true })
    assert.deepEqual(
      [await scoops.getAttribute('type'), await scoops.getAttribute('min'), await scoops.getAttribute('max')],
      ['number', '1', '5']
    )
    await page.getByText('of the ice').waitFor()
    await scoops.fill('9')
    await own.press('Save scoops')
    assert.equal(
      await scoops.evaluate((input: { validity: { rangeOverflow: boolean } }) => input.validity.rangeOverflow),
      true
    )
    await scoops.fill('3')
    await own.press('Save scoops')
    await own.result('settings-set scoops 3: version 1')
    await page.getByLabel('toppings', { exact: true }).fill('[nuts]')
    await own.press('Save toppings')
    await page.getByRole('alert').filter({ hasText: 'This is not JSON' }).waitFor()
    await page.getByLabel('toppings', { exact: true }).fill('["nuts"]')
    await own.press('Save toppings')
    await own.result('settings-set toppings ["nuts"]: version 2')
    const { body } = await command(service, 'settings-get')
    assert.deepEqual([body.result.values.scoops, body.result.values.toppings], [3, ['nuts']])
  })

  await t.test('asks before maintenance, and shows that it is on', async () => {
    await page.getByLabel('maintenance', { exact: true }).check()
    await own.press('Save maintenance')
    await own.answer('Turn maintenance on?', 'Turn maintenance on')
    await page.locator('#attention', { hasText: 'Maintenance is on' }).waitFor()
  })

  await t.test('plots the load beside the number of workers while a range is configured', async () => {
    await page.getByText('1 worker of 1..3', { exact: false }).waitFor()
    await page.getByRole('img', { name: /^Load in busy event loops/ }).waitFor()
    const field = page.getByRole('textbox', { name: 'Workers' })
    await until(async () => (await field.inputValue()) === '1..3', 'the range')
  })

  await t.test('takes the theme that the operator chooses, and keeps it', async () => {
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    await page.emulateMedia({ colorScheme: 'light' })
    const light = await ground()
    await own.press('Theme: auto')
    await own.press('Theme: light')
    await page.getByRole('button', { name: 'Theme: dark' }).waitFor()
    await until(async () => (await ground()) !== light, 'another ground')
    await page.reload()
    await page.getByRole('button', { name: 'Theme: dark' }).click()
    await page.getByRole('button', { name: 'Theme: auto' }).waitFor()
    await until(async () => (await ground()) === light, 'the ground of before')
  })

  await t.test('every button, field and link is at least 44 px high, also on a phone', async () => {
    await own.live()
    await page.setViewportSize({ width: 360, height: 740 })
    const low = await page
      .locator('button, input:not([type=checkbox]), select, textarea, summary, header a, nav a, #attention a')
      .evaluateAll((nodes) =>
        nodes
          .map((node) => ({ height: node.getBoundingClientRect().height, text: node.textContent || node.id }))
          .filter(({ height }) => height > 0 && height < 44)
      )
    assert.deepEqual(low, [])
  })

  await t.test('is accessible in this state, and while it asks a question', async () => {
    assert.deepEqual(await tab.faults(), [])
    await own.press('Stop the service')
    await page.getByRole('dialog', { name: 'Stop the service?' }).waitFor()
    assert.deepEqual(await tab.faults(), [])
    await own.answer('Stop the service?', 'Cancel')
    // The reload that failed.
    await own.isClean(/status of 500/)
  })
})
