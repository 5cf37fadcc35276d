// Takes the pictures of the pages in docs/images/console-*.png and front-*.png: starts a service with embedded Redis, sends it
// requests, reloads it, and photographs the front page and the console with Chromium. Needs a build and `chromium` on PATH.
// Usage: npm run screenshots [-- folder for the pictures]; SHOTS_SCALE=0.2 waits a fifth of the time for traffic, to try things out
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OUT = resolve(process.argv[2] ?? join(ROOT, 'docs/images'))
const TOKEN = 'screenshots-'.padEnd(40, 's')
const { SHOTS_SCALE = '1', CHROMIUM = '/usr/bin/chromium' } = process.env
const TRAFFIC_MS = 70_000 * Number(SHOTS_SCALE) // before the reload, so that the plots have something to show
const AFTER_MS = 25_000 * Number(SHOTS_SCALE)
const TICK_MS = 50
const PATIENCE_MS = 300_000
const SIZES = { 1440: { width: 1440, height: 1150 }, 360: { width: 360, height: 1480 } }

const runDir = mkdtempSync(join(tmpdir(), 'shots-'))
const env = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  PORT: '0',
  WORKERS: '3',
  RUN_DIR: runDir,
  ADMIN_TOKEN: TOKEN
}
/** Limits that a busy machine would reach. */
const CALM = { BOOT_TIMEOUT: '120000', REDIS_TIMEOUT: '10000', HEARTBEAT_TIMEOUT: '60000', MAX_LOOP_DELAY: '0' }
const app = join(ROOT, 'dist/src/routes/index.js')
const child = spawn(process.execPath, [join(ROOT, 'dist/src/cli/muster.js'), 'start', app], {
  env: { ...env, ...CALM, LOG_FORMAT: 'json', CANARY_TIME: '20000', CANARY_SHARE: '25' },
  stdio: ['ignore', 'pipe', 'inherit']
})

/** Waits for a line of the log. */
async function startedPort() {
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text)
    if (line.msg === 'muster started') return line.port
  }
  throw new Error('the service did not start')
}

let failures = 0
const agent = new Agent({ keepAlive: true, maxSockets: 12 })
/** Sends hits, more and fewer of them in turn. @returns a function that stops it */
function sendTraffic(port) {
  let tick = 0
  const timer = setInterval(() => {
    tick++
    const count = Math.round(4 + 2 * Math.sin(tick / 90) + Math.random() * 2)
    for (let i = 0; i < count; i++) {
      // Some clients come anew, as they do in practice: a canary is judged by new connections.
      const options = i % 2 === 0 ? { agent: false } : { agent }
      request({ port, path: '/hits', method: 'POST', ...options }, (response) => response.resume())
        .on('error', () => failures++)
        .end()
    }
  }, TICK_MS)
  return () => clearInterval(timer)
}

async function shoot(browser, port) {
  const origin = `http://127.0.0.1:${port}`
  const open = async (size, colorScheme, path) => {
    const context = await browser.newContext({ baseURL: origin, viewport: SIZES[size], colorScheme })
    const page = await context.newPage()
    page.setDefaultTimeout(PATIENCE_MS)
    await page.goto(path)
    return page
  }
  const enter = async (size, scheme) => {
    const page = await open(size, scheme, '/admin')
    if (size === '1440' && scheme === 'light') await page.screenshot({ path: join(OUT, 'console-sign-in.png') })
    await page.getByLabel('Admin token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.locator('#connection[data-state=live]').waitFor()
    return page
  }
  const pages = []
  for (const size of ['1440', '360']) {
    for (const scheme of ['light', 'dark']) {
      const ending = `${size}${scheme === 'dark' ? '-dark' : ''}.png`
      const page = await open(size, scheme, '/')
      if (scheme === 'light') {
        await page.locator('#name').fill('ada')
        await page.keyboard.press('Enter')
        await page.locator('.signed-in strong').waitFor()
      }
      pages.push([`front-${ending}`, page], [`console-${ending}`, await enter(size, scheme)])
    }
  }
  await sleep(TRAFFIC_MS)
  const [, page] = pages.find(([name]) => name === 'console-1440.png')
  await page.getByRole('button', { name: 'Reload workers' }).click()
  await page.locator('#results .done', { hasText: 'reload' }).waitFor()
  await sleep(AFTER_MS)
  for (const [name, shown] of pages) {
    await shown.screenshot({ path: join(OUT, name), fullPage: name.startsWith('front-1440') })
  }
  for (const part of ['rollouts', 'journal-panel']) {
    await page.locator(`#${part}`).screenshot({ path: join(OUT, `console-${part.split('-')[0]}.png`) })
  }
}

mkdirSync(OUT, { recursive: true })
let stop = () => {}
try {
  const port = await startedPort()
  child.stdout.resume()
  stop = sendTraffic(port)
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...sandbox, '--disable-dev-shm-usage'] })
  await shoot(browser, port)
  await browser.close()
  if (failures > 0) throw new Error(`${failures} requests failed: the pictures are not what they should be`)
} finally {
  stop()
  agent.destroy()
  child.kill('SIGTERM')
  await new Promise((done) => (child.exitCode === null ? child.once('exit', done) : done()))
  rmSync(runDir, { recursive: true, force: true })
}
