import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TOKENS } from '../helpers/admin.ts'
import { openBrowser } from '../helpers/browser.ts'
import { ConsolePage } from '../helpers/console-page.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { allHosts, readyIn } from '../helpers/turns-taken.ts'
import '../helpers/takes-long.ts'

test('the console lists all hosts and their workers, and only when there are several', {
  skip: missing('chromium')
}, async (t) => {
  const [{ url }, browser] = await Promise.all([startRedis(t), openBrowser(t)])
  const env = { REDIS_URL: url, HOST_HEARTBEAT: '500', ...TOKENS }
  const service = await startService(t, { workers: 1, env })
  const enter = () => ConsolePage.open(browser, service, TOKENS.ADMIN_READ_TOKEN)
  const alone = await enter()
  await alone.line('ready').waitFor()
  assert.equal(await alone.page.getByRole('heading', { name: 'Hosts' }).isVisible(), false)
  await alone.page.close()

  await startService(t, { workers: 2, env })
  const { hosts } = await allHosts(service, (answer) => answer.hosts.length === 2 && readyIn(answer) === 3)
  const { page, tab } = await enter()
  await page.getByRole('heading', { name: 'Hosts' }).waitFor()
  for (const { id, release } of hosts) {
    await page
      .locator('#hosts tr', { hasText: id })
      .filter({ hasText: `release ${release}` })
      .waitFor()
  }
  await page.locator('#hosts tr', { hasText: 'this host' }).filter({ hasText: 'slot 0 ready' }).waitFor()
  await page.locator('#hosts tr', { hasText: 's ago' }).filter({ hasText: 'slot 1 ready' }).waitFor()
  await tab.count('#hosts tr', 2)
  assert.equal(await page.locator('#hosts button').count(), 0, 'the list is read-only')
  assert.deepEqual(await tab.faults(), [])
  assert.deepEqual(tab.problems, [])
})
