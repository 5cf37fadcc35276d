import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const BANNER = '<script>alert("x")</script>'
const OPEN = 20

test('the console, in a real browser', { skip: missing('chromium') }, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url, ...TOKENS }, workers: 2 })
  const own = await ConsolePage.enter(browser, service)
  const { page, tab } = own
  page.once('dialog', () => assert.fail('the banner ran'))
  const holds = (value: string, { page }: ConsolePage) =>
    until(async () => {
      const field = page.getByLabel('banner', { exact: true })
      return (await field.count()) === 1 && (await field.inputValue()) === value
    }, `the banner ${value}`)

  await t.test('refuses a wrong token and does not store it', async () => {
    const stranger = await ConsolePage.enter(browser, service, 'x'.repeat(40))
    await stranger.page.locator('#refused', { hasText: 'refused' }).waitFor()
    assert.equal(await stranger.page.locator('#console').isVisible(), false)
    assert.equal(await stranger.page.evaluate('sessionStorage.length'), 0)
    assert.deepEqual(await stranger.tab.faults(), [])
    assert.equal(stranger.tab.problems.length, 1)
    assert.match(stranger.tab.problems[0]!, /status of 401/)
  })

  await t.test('says in its first line that the service is healthy, and shows every worker live', async () => {
    await own.live()
    await own.workers(2)
    await own.healthIs(/^Healthy: 2 of 2 workers serve/)
    for (const name of ['Results', 'Hosts', 'Autoscaling', 'Under suspicion', 'Trial of the new release']) {
      assert.equal(await page.getByRole('heading', { name }).count(), 0, `${name} is empty`)
    }
    await page.getByText('Nothing needs your attention.').waitFor()
    for (const pid of service.workers().keys()) await page.locator('#list .about', { hasText: `pid ${pid}` }).waitFor()
    await own.count('#list path.line[d*=L]', 8)
    await own.line('ready').waitFor()
  })

  await t.test('plots have scales: a number at the top line, zero at the bottom, and the time below', async () => {
    const plots = await page.locator('#list .plot').allInnerTexts()
    assert.equal(plots.length, 8)
    for (const text of plots) assert.match(text.replace(/\n+/g, '\n'), /^[\d.,]+( ms| MiB)?\n0\n−\d+ (s|min)\nnow$/)
    const tops = await page
      .locator('#list > li')
      .evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll('.top')].map(({ textContent }) => textContent)))
    assert.deepEqual(tops[0], tops[1], 'workers can be compared')
  })

  await t.test('draws a reload as a timeline with the connections that moved', async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: OPEN, maxFreeSockets: OPEN })
    t.after(() => agent.destroy())
    const ask = () =>
      new Promise<void>((resolve, reject) => {
        get(`${service.url}/livez`, { agent }, (answer) => answer.resume().on('end', resolve)).on('error', reject)
      })
    const askOnAll = () => Promise.all(Array.from({ length: OPEN }, ask))
    await askOnAll()
    const failed: unknown[] = []
    const timer = setInterval(() => askOnAll().catch((error) => failed.push(error)), 500)
    t.after(() => clearInterval(timer))
    const reloading = page.locator('#rollout', { hasText: 'Reloading' }).waitFor()
    await Promise.all([reloading, own.press('Reload workers')])
    await page.locator('#rollout', { hasText: /^done: generation 2 in .* connections transferred$/ }).waitFor()
    await own.result(/reload: done: generation 2/)
    await own.workers(2)
    await page.locator('#list .about', { hasText: 'generation 2' }).nth(1).waitFor()
    const timeline = page.locator('#timelines article')
    await timeline.getByText('Reload to generation 2').waitFor()
    await timeline.locator('.pill', { hasText: 'done' }).waitFor()
    await own.count(timeline.locator('li').filter({ hasText: /\d+ of \d+ connections? moved/ }), 2)
    const moved = (await timeline.locator('li').allInnerTexts()).map((text) => Number(/(\d+) of/.exec(text)![1]))
    assert.ok(moved[0]! + moved[1]! >= OPEN, moved.join())
    for (const slot of [0, 1]) {
      const lane = timeline.getByRole('img', {
        name: new RegExp(`^Slot ${slot}: new worker starts .* old worker drains`)
      })
      await own.count(lane.locator('rect'), 3)
    }
    await tab.shows('#timelines article .axis', /^0 s\s.* s$/s)
    assert.deepEqual(failed, [])
  })

  await t.test('joins a command and its answer to one line of the journal', async () => {
    const line = own.line(/reload.*answered after/s)
    await line.getByText(/by token [0-9a-f]+/).waitFor()
    await own.count(page.locator('#journal > li b', { hasText: /^reload$/ }), 1)
    await page
      .getByRole('heading', { name: new Date().toLocaleDateString('en-US', { year: 'numeric' }) })
      .first()
      .waitFor()
  })

  await t.test('takes a profile, changes settings, and shows the changes of other operators', async () => {
    const download = page.waitForEvent('download')
    await own.press('Take a CPU profile of slot 0')
    await page.getByLabel('banner', { exact: true }).fill(BANNER)
    await own.press('Save banner')
    await own.result(`settings-set banner ${BANNER}: version 1`)
    await page.getByLabel('logLevel', { exact: true }).selectOption('debug')
    await own.press('Save logLevel')
    await own.result('settings-set logLevel debug: version 2')
    await page.getByLabel('logLevel', { exact: true }).selectOption('as LOG_LEVEL says')
    await own.press('Save logLevel')
    await own.result('settings-set logLevel null: version 3')
    await own.press('Clear caches')
    await own.result('cache-clear: workers 2')

    const other = await ConsolePage.enter(browser, service)
    await holds(BANNER, other)
    await other.page.getByLabel('banner', { exact: true }).fill('tea')
    await other.press('Save banner')
    await holds('tea', own)
    await other.tab.context.close()
    await other.isClean()

    const profile = await download
    assert.match(profile.suggestedFilename(), /\.cpuprofile$/)
    const { nodes } = JSON.parse(readFileSync(await profile.path(), 'utf8')) as { nodes: unknown[] }
    assert.ok(nodes.length > 0)
  })

  await t.test('scales up, and asks before it scales down, with the verb on the button', async () => {
    const field = page.getByRole('textbox', { name: 'Workers' })
    const scale = async (workers: string) => {
      await field.fill(workers)
      await page.keyboard.press('Enter')
    }
    await scale('3')
    await own.result('scale 3: workers 3')
    await own.workers(3)
    await scale('2')
    await page.getByRole('dialog', { name: 'Scale down to 2?' }).waitFor()
    await page.keyboard.press('Escape')
    await scale('2')
    await own.answer('Scale down to 2?', 'Scale down')
    await own.result('scale 2: workers 2')
    await own.workers(2)
    await field.selectText()
    await command(service, 'scale', { workers: 3 })
    await until(async () => (await field.inputValue()) === '3', 'the number that another operator chose')
    await page.keyboard.type('2')
    assert.equal(await field.inputValue(), '2', 'it was added to the new value')
    await page.keyboard.press('Enter')
    await own.answer('Scale down to 2?', 'Scale down')
    await page.locator('#results .done', { hasText: 'scale 2: workers 2' }).nth(1).waitFor()
    await own.workers(2)
    await own.count(page.locator('#results > li', { hasText: 'scale' }), 3)
    await scale('999')
    await page.locator('#results .refused', { hasText: 'must be a number from 1 to 128' }).waitFor()
    await own.isClean(/status of 400/)
  })

  await t.test('survives kill -9 of every worker without being reloaded, and says so', async () => {
    await page.evaluate('window.same = true')
    const killed = [...service.workers().keys()]
    for (const pid of killed) process.kill(pid, 'SIGKILL')
    await page.locator('#figures', { hasText: 'crash 2' }).waitFor()
    await own.workers(2)
    for (const pid of killed) await own.count(page.locator('#list .about', { hasText: `pid ${pid} ` }), 0)
    await page.locator('#attention', { hasText: /2 workers failed in the last 10 minutes.*SIGKILL/ }).waitFor()
    await page
      .locator('#journal > li[data-level=bad]', { hasText: /failed.*exited/s })
      .nth(1)
      .waitFor()
    assert.equal(await page.evaluate('window.same'), true)
  })

  await t.test('replaces a worker, and saves a heap snapshot after a confirmation', async () => {
    const before = await page.locator('#list > li').first().getAttribute('data-key')
    await own.press('Replace the worker of slot 0')
    await own.result(/recycle 0: slot 0, pid \d+/)
    await page.locator(`[data-key="${before}"]`).waitFor({ state: 'detached' })
    await own.workers(2)
    const download = page.waitForEvent('download')
    await own.press('Take a heap snapshot of slot 1')
    await own.answer('Take a heap snapshot of slot 1?', 'Take the snapshot')
    const heap = await download
    assert.match(heap.suggestedFilename(), /\.heapsnapshot$/)
    assert.match(readFileSync(await heap.path(), 'utf8').slice(0, 20), /^{"snapshot":/)
    await page.getByRole('button', { name: /^Save again: .*\.heapsnapshot$/ }).waitFor()
  })

  await t.test('is accessible: no serious fault, light and dark, at 360 and 1,440 px and at 200 % zoom', async () => {
    await own.live()
    assert.deepEqual(await tab.faults(), [])
  })

  await t.test('with the read token it shows everything but commands', async () => {
    const reader = await ConsolePage.enter(browser, service, TOKENS.ADMIN_READ_TOKEN)
    await reader.workers(2)
    await reader.line('ready').waitFor()
    const buttons = reader.page.getByRole('button').filter({ hasNotText: 'more' })
    await reader.count(buttons, 2)
    assert.deepEqual(await buttons.allInnerTexts(), ['Theme: auto', 'Sign out'])
    await reader.press('Sign out')
    await reader.page.getByLabel('Admin token').waitFor()
    assert.equal(await reader.page.evaluate('sessionStorage.length'), 0)
    await reader.isClean()
  })

  await t.test('stops the service after a confirmation', async () => {
    await own.isClean()
    await page.reload()
    await own.press('Stop the service')
    await own.answer('Stop the service?', 'Cancel')
    await own.press('Stop the service')
    await own.answer('Stop the service?', 'Stop the service')
    assert.deepEqual(await service.exited, { code: 0, signal: null })
    await page.locator('#connection[data-state=connecting]', { hasText: 'Reconnecting' }).waitFor()
    await own.healthIs(/Not known/)
    // The console may ask once more while the last worker drains.
    await own.isClean(/status of 503/)
  })
})
