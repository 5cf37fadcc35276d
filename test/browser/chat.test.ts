import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { Walkthrough } from '../helpers/walkthrough.ts'
import '../helpers/takes-long.ts'

test('the chat example in two tabs: messages appear in both, and a reload closes no WebSocket', {
  skip: missing('chromium')
}, async (t) => {
  const [{ service }, browser] = await Promise.all([Walkthrough.follow(t, 'examples/chat/README.md'), openBrowser(t)])
  const tabs = await Promise.all([Tab.open(browser, service.url), Tab.open(browser, service.url)])
  const [ada, bob] = tabs as [Tab, Tab]
  const say = async ({ page }: Tab, name: string, text: string) => {
    await page.getByLabel('Your name').fill(name)
    await page.getByLabel('Message').fill(text)
    await page.getByRole('button', { name: 'Send' }).click()
  }
  const hears = ({ page }: Tab, text: string) => page.getByRole('listitem').filter({ hasText: text }).waitFor()
  let opened = 0
  for (const { page } of tabs) {
    page.on('websocket', () => opened++)
    await page.goto('/')
  }

  await say(ada, 'Ada', 'hello <b>Bob</b>')
  for (const tab of tabs) await hears(tab, 'Ada: hello <b>Bob</b>')
  assert.deepEqual(await Promise.all(tabs.map((tab) => tab.faults())), [[], []])
  assert.deepEqual(await ada.faultsOnZoomedPhone(), [])

  for (let i = 0; i < 2; i++) assert.equal((await service.reload()).msg, 'rollout done')
  await say(bob, 'Bob', 'still here')
  for (const tab of tabs) {
    await hears(tab, 'Bob: still here')
    await tab.shows('ol', 'Ada: hello <b>Bob</b>\nBob: still here')
    await tab.shows('[role=status]', 'connected')
    assert.deepEqual(tab.problems, [])
  }
  assert.equal(opened, 2, 'a page has connected again')
})
