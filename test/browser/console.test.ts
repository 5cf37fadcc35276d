import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { test } from 'node:test'
import { command, TOKENS } from '../helpers/admin.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const BANNER = '<script>alert("x")</script>'
const OPEN = 20

test('the console, in a real browser', { skip: missing('chromium') }, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url, ...TOKENS }, workers: 2 })

  const enter = async (token: string) => {
    const tab = await Tab.open(browser, service.url)
    await tab.page.goto('/admin')
    await tab.page.getByLabel('Admin token').fill(token)
    await tab.page.keyboard.press('Enter')
    return tab
  }
  const tab = await enter(TOKENS.ADMIN_TOKEN)
  const { page } = tab
  page.once('dialog', () => assert.fail('the banner ran'))
  const result = (text: string | RegExp) => page.locator('#results .done', { hasText: text }).waitFor()
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
  const there = (count: number, selector: string, on = page) =>
    until(async () => (await on.locator(selector).count()) === count, `${count} of ${selector}`)
  const cards = (count: number) => there(count, '#list > li[data-status=ready]').then(() => there(count, '#list > li'))
  const holds = (value: string, on = page) =>
    until(async () => {
      const field = on.getByLabel('banner', { exact: true })
      return (await field.count()) === 1 && (await field.inputValue()) === value
    }, `the banner ${value}`)

  await t.test('refuses a wrong token and does not store it', async () => {
    const stranger = await enter('x'.repeat(40))
    await stranger.page.locator('#refused', { hasText: 'refused' }).waitFor()
    assert.equal(await stranger.page.locator('#console').isVisible(), false)
    assert.equal(await stranger.page.evaluate('sessionStorage.length'), 0)
    assert.deepEqual(await stranger.faults(), [])
    assert.equal(stranger.problems.length, 1)
    assert.match(stranger.problems[0]!, /status of 401/)
  })

  await t.test('shows every worker live', async () => {
    await page.locator('#connection[data-state=live]').waitFor()
    await cards(2)
    for (const pid of service.workers().keys()) await page.locator('#list .who', { hasText: `pid ${pid}` }).waitFor()
    await there(8, '#list path[d*=L]')
    await page.locator('#journal li', { hasText: 'ready' }).first().waitFor()
  })

  await t.test('starts a reload on a click and shows its result with the transferred connections', async (t) => {
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
    await press('Reload')
    await page.locator('#rollout', { hasText: 'Rolling' }).waitFor()
    await page.locator('#rollout', { hasText: /^done: generation 2 in .* connections transferred$/ }).waitFor()
    await result(/^[\d:]+reload: done: generation 2/)
    await cards(2)
    await page.locator('#list .who', { hasText: 'generation 2' }).nth(1).waitFor()
    await there(1, '#figures dd:text-is("running")')
    const texts = await page.locator('#slots [data-stage=done]', { hasText: 'transferred' }).allInnerTexts()
    assert.equal(texts.length, 2)
    const moved = texts.map((text) => Number(/(\d+) of/.exec(text)![1])).reduce((sum, one) => sum + one, 0)
    assert.ok(moved >= OPEN, texts.join())
    assert.deepEqual(failed, [])
  })

  await t.test('takes a profile, changes settings, and shows the changes of other operators', async () => {
    const download = page.waitForEvent('download')
    await press('Profile slot 0')
    await page.getByLabel('banner', { exact: true }).fill(BANNER)
    await press('Set banner')
    await result(`settings-set banner ${BANNER}: version 1`)
    await page.getByLabel('Log level', { exact: true }).selectOption('debug')
    await press('Set log level')
    await result('log-level debug: version 2')
    await page.getByLabel('Log level', { exact: true }).selectOption('')
    await press('Set log level')
    await result('as LOG_LEVEL says: version 3')
    await press('Clear caches')
    await result('cache-clear: workers 2')

    const other = await enter(TOKENS.ADMIN_TOKEN)
    await holds(BANNER, other.page)
    await other.page.getByLabel('banner', { exact: true }).fill('tea')
    await other.page.keyboard.press('Enter')
    await holds('tea')
    await other.context.close()
    assert.deepEqual(other.problems, [])

    const profile = await download
    assert.match(profile.suggestedFilename(), /\.cpuprofile$/)
    const { nodes } = JSON.parse(readFileSync(await profile.path(), 'utf8')) as { nodes: unknown[] }
    assert.ok(nodes.length > 0)
  })

  await t.test('scales up, and asks for a confirmation before it scales down', async () => {
    const scale = async (workers: string) => {
      await page.getByRole('spinbutton', { name: 'Workers' }).fill(workers)
      await page.keyboard.press('Enter')
    }
    await scale('3')
    await result('scale 3: workers 3')
    await cards(3)
    await scale('2')
    await page.locator('dialog[open]', { hasText: '2 in place of 3' }).waitFor()
    await page.keyboard.press('Escape')
    await scale('2')
    await press('Go on')
    await result('scale 2: workers 2')
    await cards(2)
    const field = page.getByRole('spinbutton', { name: 'Workers' })
    await field.selectText()
    await command(service, 'scale', { workers: 3 })
    await until(async () => (await field.inputValue()) === '3', 'the number that another operator chose')
    await page.keyboard.type('2')
    assert.equal(await field.inputValue(), '2', 'it was added to the new value')
    await page.keyboard.press('Enter')
    await press('Go on')
    await page.locator('#results .done', { hasText: 'scale 2: workers 2' }).nth(1).waitFor()
    await cards(2)
    assert.equal(await page.locator('#results', { hasText: 'scale' }).locator('li', { hasText: 'scale' }).count(), 3)
    await scale('999')
    await page.locator('#results .refused', { hasText: 'must be a number from 1 to 128' }).waitFor()
    tab.problems.splice(0).forEach((problem) => {
      assert.match(problem, /status of 400/)
    })
  })

  await t.test('survives kill -9 of every worker without being reloaded', async () => {
    await page.evaluate('window.same = true')
    const killed = [...service.workers().keys()]
    for (const pid of killed) process.kill(pid, 'SIGKILL')
    await page.locator('#figures', { hasText: 'crash 2' }).waitFor()
    await cards(2)
    const pids = await page.locator('#list .who').allInnerTexts()
    assert.ok(
      pids.every((text) => killed.every((pid) => !text.includes(`pid ${pid} `))),
      pids.join()
    )
    assert.equal(await page.evaluate('window.same'), true)
  })

  await t.test('recycles a slot, and saves a heap snapshot after a confirmation', async () => {
    const before = await page.locator('#list > li').first().getAttribute('data-key')
    await press('Recycle slot 0')
    await result(/recycle 0: slot 0, pid \d+/)
    await page.locator(`[data-key="${before}"]`).waitFor({ state: 'detached' })
    await cards(2)
    const [heap] = await Promise.all([page.waitForEvent('download'), press('Heap slot 1').then(() => press('Go on'))])
    assert.match(heap.suggestedFilename(), /\.heapsnapshot$/)
    assert.match(readFileSync(await heap.path(), 'utf8').slice(0, 20), /^{"snapshot":/)
    await page.getByRole('button', { name: /^Save again: .*\.heapsnapshot$/ }).waitFor()
  })

  await t.test('is accessible: no serious fault, light and dark, at 360 and 1,440 px', async () => {
    await page.locator('#connection[data-state=live]').waitFor()
    assert.deepEqual(await tab.faults(), [])
  })

  await t.test('with the read token it shows everything but no command buttons', async () => {
    const reader = await enter(TOKENS.ADMIN_READ_TOKEN)
    await there(2, '#list > li', reader.page)
    await reader.page.locator('#journal li').first().waitFor()
    assert.deepEqual(await reader.page.getByRole('button').allInnerTexts(), ['Forget the token'])
    await reader.page.getByRole('button').click()
    await reader.page.getByLabel('Admin token').waitFor()
    assert.equal(await reader.page.evaluate('sessionStorage.length'), 0)
    assert.deepEqual(reader.problems, [])
  })

  await t.test('stops the service after a confirmation', async () => {
    assert.deepEqual(tab.problems, [], 'what the console said')
    await page.reload()
    await press('Stop')
    await press('Cancel')
    await press('Stop')
    await press('Go on')
    assert.deepEqual(await service.exited, { code: 0, signal: null })
    await page.locator('#connection[data-state=connecting]', { hasText: 'Reconnecting' }).waitFor()
    // The console may ask once more while the last worker drains.
    tab.problems.splice(0).forEach((problem) => {
      assert.match(problem, /status of 503/)
    })
  })
})
