import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const NAME = '<script>alert("x")</script>'

test('the front page, in a real browser', { skip: missing('chromium') }, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 2 })
  const tab = await Tab.open(browser, service.url)
  const { page } = tab
  const pids = new Set<string>()

  /** Returns the visit number on the page, and records the worker. */
  const visit = async () => {
    pids.add(await tab.text('#pid'))
    return Number(await tab.text('#visits'))
  }
  /** Returns the pid of the worker that streams to the page, when the page is live. */
  const feeder = async () => {
    await page.locator('#connection[data-state=live]').waitFor()
    return Number(await page.locator('#workers [data-here]').getAttribute('data-pid'))
  }
  const hit = () =>
    fetch(`${service.url}/hits`, { method: 'POST' }).then((answer) => answer.json()) as Promise<{ hits: number }>

  await t.test('shows the hit and the visit, and counts both again with the next request', async () => {
    await page.goto('/')
    await tab.shows('#hits', '1')
    assert.equal(await visit(), 1)
    await page.getByRole('link', { name: 'Hit again' }).click()
    await page.locator('#visits', { hasText: '2' }).waitFor()
    await tab.shows('#hits', '2')
    assert.equal(await visit(), 2)
  })

  await t.test('an idle service shows its workers and a plot with scales, and a visitor can send hits', async () => {
    const idle = await Tab.open(browser, service.url)
    await idle.page.goto('/')
    await idle.page.getByRole('button', { name: 'Send 50 hits' }).waitFor()
    await idle.shows('#plot .rates', /^10\/s\s+5\/s\s+0$/)
    await idle.shows('#plot .times', /^−60 s\s+−45 s\s+−30 s\s+−15 s\s+now$/)
    await idle.count('#workers li', 2)
    await idle.page.locator('#muster', { hasText: '2 of 2 ready' }).waitFor()
    const read = () => fetch(`${service.url}/hits`).then((answer) => answer.json()) as Promise<{ hits: number }>
    const { hits: before } = await read()
    await idle.page.getByRole('button', { name: 'Send 50 hits' }).click()
    await idle.page.locator('#idle').waitFor({ state: 'hidden' })
    await until(async () => (await read()).hits === before + 50, 'fifty hits')
    await idle.page.context().close()
    assert.deepEqual(idle.problems, [])
  })

  await t.test('updates its numbers by itself and lights up workers that serve requests', async () => {
    await feeder()
    let last = 0
    await until(async () => {
      last = (await hit()).hits
      return (await page.locator('#workers [data-lit]').count()) > 0 && /[1-9]/.test(await tab.text('#rate'))
    }, 'a light, and hits per second')
    await page.locator('#total', { hasText: String(last) }).waitFor()
    await page.locator('#plot .line[d*=L]').waitFor({ state: 'attached' })
  })

  await t.test('signs in and out by keyboard alone, and shows a name as text', async () => {
    page.once('dialog', () => assert.fail('the name ran'))
    const tabTo = async (selector: string) => {
      for (let i = 0; !(await page.locator(`${selector}:focus`).count()); i++) {
        assert.ok(i < 20, `${selector} cannot be reached`)
        await page.keyboard.press('Tab')
      }
    }
    await tabTo('#name')
    await page.keyboard.type(NAME)
    await page.keyboard.press('Enter')
    await tab.shows('.signed-in strong', NAME)
    assert.equal(await visit(), 3)
    await tabTo('.signed-in button')
    await page.keyboard.press('Enter')
    await page.locator('#name').waitFor()
    assert.equal(await visit(), 1)
  })

  await t.test('survives a reload of the service and kill -9 of its worker without being reloaded', async () => {
    // Records what a visitor would see: the state of the connection, and numbers that vanish.
    await page.evaluate(`
      window.same = true
      window.flickers = []
      const observer = new MutationObserver(() => {
        const seen = [document.querySelector('#connection').dataset.state, document.querySelector('#total').textContent]
        if (seen[0] !== 'live' || !/\\d/.test(seen[1])) window.flickers.push(seen)
      })
      observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
    `)
    const streams = await page.evaluate("performance.getEntriesByName(location.origin + '/events').length")
    const before = await feeder()
    const roll = service.reload()
    assert.equal((await roll).outcome, 'done')
    await page.locator('#workers li', { hasText: 'gen 2' }).nth(1).waitFor()
    let second = before
    await until(async () => {
      second = await feeder()
      return service.workers().get(second)?.generation === 2
    }, 'a new worker feeds the page')
    assert.deepEqual(await page.evaluate('window.flickers'), [])
    assert.equal(await page.evaluate("performance.getEntriesByName(location.origin + '/events').length"), streams)

    process.kill(second, 'SIGKILL')
    await until(async () => (await feeder().catch(() => second)) !== second, 'another worker feeds the page')
    await service.until(
      () => [...service.workers().keys()].every((pid) => pid !== second) && service.workers().size === 2
    )
    const { hits } = await hit()
    await page.locator('#total', { hasText: String(hits) }).waitFor()
    assert.equal(await page.evaluate('window.same'), true)
    await page.getByRole('link', { name: 'Hit again' }).click()
    await page.locator('#visits', { hasText: '2' }).waitFor()
    await visit()
    assert.ok(pids.size >= 2, 'visits rise over workers')
  })

  await t.test('is accessible: no serious fault, light and dark, at 360 and 1,440 px and at 200 % zoom', async () => {
    await feeder()
    assert.deepEqual(await tab.faults(), [])
    assert.equal(await page.getByRole('link', { name: 'Console' }).count(), 0, 'there is none without a token')
    assert.equal(await page.locator('#demo').isVisible(), false)
  })

  await t.test('works without JavaScript: counts, shows and signs in', async () => {
    const plain = await Tab.open(browser, service.url, { javaScriptEnabled: false })
    await plain.page.goto('/')
    const hits = Number(await plain.text('#hits'))
    await plain.shows('#visits', '1')
    assert.equal(await plain.page.locator('#live').isVisible(), false)
    await plain.page.locator('#name').fill('ada')
    await plain.page.getByRole('button', { name: 'Sign in' }).click()
    await plain.shows('.signed-in strong', 'ada')
    await plain.shows('#visits', '2')
    await plain.shows('#hits', String(hits + 1))
    await plain.page.getByRole('button', { name: 'Sign out' }).click()
    await plain.page.locator('#name').waitFor()
    assert.deepEqual(plain.problems, [])
  })

  assert.deepEqual(tab.problems, [], 'what the console said')
})
