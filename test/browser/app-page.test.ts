import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fastifyStatic from '@fastify/static'
import type { FastifyPluginAsync } from 'fastify'
import { WebSocketServer } from 'ws'
import { startApp } from '../helpers/app.ts'
import { openBrowser, Tab } from '../helpers/browser.ts'
import { missing } from '../helpers/programs.ts'
import { until } from '../helpers/until.ts'

const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='
const FILES = {
  'index.html': `<!doctype html><link rel="icon" href="data:,"><style>p { color: rgb(1, 2, 3) }</style>
    <p id="ran">no</p><img id="pixel" src="${PIXEL}"><iframe id="inner" src="/inner.html"></iframe>
    <form method="post" action="/form"><button>Send</button></form>
    <script>document.getElementById('ran').textContent = 'yes'</script>`,
  'inner.html': '<!doctype html><link rel="icon" href="data:,"><p>inner</p>',
  'worker.js': `fetch('/json').then((response) => response.json()).then(({ ok }) => postMessage(ok), (error) => postMessage(String(error)))`,
  'service-worker.js': `addEventListener('message', ({ ports: [port] }) => {
      fetch('/json').then((response) => response.json()).then(({ ok }) => port.postMessage(ok), (error) => port.postMessage(String(error)))
    })`
}
/** Each is run in the page, and resolves to true. */
const ABILITIES: Record<string, string> = {
  'run inline scripts': `document.getElementById('ran').textContent === 'yes'`,
  'use inline styles': `getComputedStyle(document.getElementById('ran')).color === 'rgb(1, 2, 3)'`,
  'show data: images': `document.getElementById('pixel').naturalWidth === 1`,
  'frame their own pages': `document.getElementById('inner').contentDocument.body.textContent === 'inner'`,
  'fetch JSON of the app': `fetch('/json').then((response) => response.json()).then(({ ok }) => ok)`,
  'open WebSockets': `new Promise((resolve) => {
      new WebSocket('ws://' + location.host + '/socket').onmessage = ({ data }) => resolve(data === 'hello')
    })`,
  'run workers, which fetch too': `new Promise((resolve) => {
      new Worker('/worker.js').onmessage = ({ data }) => resolve(data)
    })`,
  'run workers from a blob': `new Promise((resolve) => {
      new Worker(URL.createObjectURL(new Blob(['postMessage(true)']))).onmessage = ({ data }) => resolve(data)
    })`,
  'have a service worker, which fetches too': `navigator.serviceWorker.register('/service-worker.js').then(() => navigator.serviceWorker.ready)
    .then(({ active }) => new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = ({ data }) => resolve(data)
      active.postMessage('go', [port2])
    }))`
}

test('pages of an app in a real browser, without options', { skip: missing('chromium') }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'site-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(root, name), text)
  const statuses: number[] = []
  const routes: FastifyPluginAsync = async (app) => {
    await app.register(fastifyStatic, { root })
    app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async () => ({}))
    app.get('/json', async () => ({ ok: true }))
    app.post('/form', async ({ headers }, reply) =>
      reply.type('text/html').send(`<link rel="icon" href="data:,"><p>${headers.origin}</p>`)
    )
    app.addHook('onResponse', async ({ url }, { statusCode }) => void (url === '/' && statuses.push(statusCode)))
    const sockets = new WebSocketServer({ noServer: true })
    ;(app.server as Server).on('upgrade', (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (client) => client.send('hello'))
    )
  }
  const [{ port }, browser] = await Promise.all([startApp(t, { listen: true, routes }), openBrowser(t)])
  const origin = `http://127.0.0.1:${port}`
  const tab = await Tab.open(browser, origin)
  await tab.page.goto('/', { waitUntil: 'load' })
  for (const [what, script] of Object.entries(ABILITIES)) {
    const inTime = `Promise.race([${script}, new Promise((done) => setTimeout(done, 20_000, 'no answer'))])`
    await t.test(`may ${what}`, async () => assert.equal(await tab.page.evaluate(inTime), true))
  }

  await t.test('still may when the stored page was revalidated', async () => {
    await tab.page.goto('/inner.html')
    await tab.page.goto('/')
    await until(() => statuses.at(-1) === 304, 'a page that is not modified')
    await tab.shows('#ran', 'yes')
  })

  await t.test('send their origin with a form, by which apps recognise their own pages', async () => {
    await tab.page.getByRole('button', { name: 'Send' }).click()
    await tab.page.waitForURL('**/form')
    await tab.shows('p', origin)
  })
  assert.deepEqual(tab.problems, [])

  await t.test('may not use other origins', async () => {
    await tab.page.goto('/')
    const blocked = tab.page.evaluate(`new Promise((resolve) => {
      addEventListener('securitypolicyviolation', ({ effectiveDirective }) => resolve(effectiveDirective))
      document.body.append(Object.assign(document.createElement('script'), { src: 'http://127.0.0.2:${port}/worker.js' }))
    })`)
    assert.equal(await blocked, 'script-src-elem')
  })
})
