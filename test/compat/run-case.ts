import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Browser } from 'playwright-core'
import { Tab } from '../helpers/browser.ts'
import { CLI, type Line, type Service, startService } from '../helpers/service.ts'
import type { Case, Site } from './case.ts'
import { FOLDER } from './installed.ts'
import { KeepAliveLoad } from './keep-alive-load.ts'
import { Visitor } from './visitor.ts'

const APPS = join(FOLDER, 'apps')
const ERROR = 50

/** Starts the app of a case, checks it, reloads it under load, checks it again and stops it. */
export async function runCase(t: TestContext, one: Case, around: { redis: string; browser?: Browser }): Promise<void> {
  const service = await startCase(t, one, around.redis)
  const site: Site = { t, url: service.url, service, visitor: () => new Visitor(service.url) }
  await one.check?.(site)
  if (one.browse && around.browser) await browse(one, site, around.browser)
  await reloadUnderLoad(t, one, service)
  await one.check?.(site)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  assert.deepEqual(service.lines.filter(isError), [], 'lines of level error or fatal in the log')
}

async function startCase(t: TestContext, one: Case, redis: string): Promise<Service> {
  const app = one.app ?? `${one.name}.js`
  return startService(t, {
    launcher: `env -C "${APPS}"`,
    command: `"${process.execPath}" "${CLI}" start "${app}"`,
    env: {
      REDIS_URL: redis,
      REDIS_PREFIX: `compat:${one.name}:`,
      CANARY_TIME: '100',
      ...one.env,
      ...(await one.prepare?.(t))
    }
  })
}

/** Expects that no request fails and that no connection is closed. */
async function reloadUnderLoad(t: TestContext, { load: wanted = {}, reloads = 1 }: Case, service: Service) {
  const load = new KeepAliveLoad(t, service.port, wanted)
  for (let i = 0; i < reloads; i++) {
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout done', JSON.stringify(outcome))
  }
  await load.stop()
  assert.deepEqual([...load.failures], [], 'failed requests during the reload')
  assert.equal(load.closed, 0, 'a connection was closed that could have stayed open')
  assert.ok(load.answered > 20 * reloads, `${load.answered} answers`)
}

async function browse(one: Case, site: Site, browser: Browser): Promise<void> {
  const tab = await Tab.open(browser, site.url)
  try {
    // Chromium asks for it, and most of the apps have none.
    await tab.context.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }))
    await one.browse!({ ...site, page: tab.page }).catch((error: Error) => {
      throw new Error([error.message, 'console of the browser:', ...tab.problems].join('\n'))
    })
    assert.deepEqual(tab.problems, [], 'errors in the console of the browser')
  } finally {
    await tab.context.close()
  }
}

const isError = ({ level }: Line) => Number(level) >= ERROR
