import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Case } from '../case.ts'
import { FOLDER } from '../installed.ts'
import { startOtherSite } from '../other-site.ts'

const GREEN = 'rgb(0, 100, 0)'

/** As in apps/graphiql.js. */
const GRAPHIQL_POLICY =
  "default-src 'self' https://unpkg.com; style-src 'self' 'unsafe-inline' https://unpkg.com; font-src 'self' data:"

/** Origin of the page that uses the API of the single-page app. */
let otherSite = ''

/** Pages, checked in Chromium. */
export const pages: Case[] = [
  {
    name: 'static',
    packages: ['@fastify/static'],
    app: 'static/app.js',
    async check({ visitor }) {
      const index = await visitor().get('/')
      assert.match(index.headers.get('content-type')!, /^text\/html/)
      assert.equal((await visitor().get('/app.css')).status, 200)
      assert.equal((await visitor().get('/absent.css')).status, 404)
    },
    async browse({ page }) {
      await page.goto('/')
      await page.getByText('The script ran').waitFor()
      assert.equal(await page.evaluate('getComputedStyle(document.querySelector("h1")).color'), GREEN)
    }
  },
  {
    name: 'view',
    packages: ['@fastify/view', 'ejs'],
    app: 'view/app.js',
    async check({ visitor }) {
      assert.match((await visitor().get('/?name=<b>')).text, /Hello &lt;b&gt;/)
    },
    async browse({ page }) {
      await page.goto('/?name=Ada')
      await page.getByText('Hello Ada').waitFor()
      await page.getByText('The script ran').waitFor()
      assert.equal(await page.evaluate('getComputedStyle(document.querySelector("h1")).color'), GREEN)
    }
  },
  {
    name: 'swagger',
    packages: ['@fastify/swagger'],
    load: { path: '/pets/7', body: /"id":7/ },
    async check({ visitor }) {
      const { json } = await visitor().get('/openapi.json')
      assert.deepEqual(json.info, { title: 'Pets', version: '2.0.0' })
      assert.deepEqual(Object.keys(json.paths), ['/pets/{id}'])
    }
  },
  {
    name: 'swagger-ui',
    packages: ['@fastify/swagger-ui'],
    load: { path: '/pets/7', body: /"id":7/ },
    async check({ visitor }) {
      const { json } = await visitor().get('/docs/json')
      assert.deepEqual(json.info, { title: 'Pets', version: '2.0.0' })
      assert.ok('/pets/{id}' in json.paths)
    },
    async browse({ page }) {
      await page.goto('/docs')
      await page.getByRole('heading', { name: 'Pets' }).waitFor()
      await page
        .getByRole('button', { name: /get ​?\/pets/i })
        .first()
        .click()
      await page.getByRole('button', { name: 'Try it out' }).click()
      await page.getByPlaceholder('id').fill('7')
      await page.getByRole('button', { name: 'Execute' }).click()
      await page.locator('.live-responses-table').getByText('"id": 7').first().waitFor()
    }
  },
  {
    name: 'mercurius',
    packages: ['mercurius', 'graphql'],
    load: { path: '/graphql?query={add(x:1,y:2)}', body: /"add":3/ },
    async check({ visitor }) {
      const ask = async (query: string) => (await visitor().ask('POST', '/graphql', { json: { query } })).json
      assert.deepEqual(await ask('{ add(x: 2, y: 3) }'), { data: { add: 5 } })
      assert.deepEqual(await ask('mutation { shout(text: "ada") }'), { data: { shout: 'ADA' } })
      assert.equal((await ask('{ absent }')).errors.length, 1)
    }
  },
  {
    name: 'graphiql',
    title: 'GraphiQL of mercurius, with its scripts from a CDN',
    packages: ['mercurius', 'graphiql'],
    line: `\`export const muster = { contentSecurityPolicy: "${GRAPHIQL_POLICY}" }\`: the page may load its scripts`,
    load: { path: '/graphql?query={add(x:1,y:2)}', body: /"add":3/ },
    async check({ visitor }) {
      const { headers } = await visitor().get('/graphiql')
      assert.equal(headers.get('content-security-policy'), GRAPHIQL_POLICY)
    },
    async browse({ page }) {
      // The CDN serves the files of npm packages; here they come from the installed ones. The page asks for its scripts all at
      // once and fails unless they arrive in this order, so each waits for the one before.
      let before: Promise<unknown> = Promise.resolve()
      await page.route('https://unpkg.com/**', (route) => {
        const [, name = '', file = ''] = /^\/([^@]+)@[^/]+\/(.*)$/.exec(new URL(route.request().url()).pathname) ?? []
        before = before.then(async () => {
          await route.fulfill({
            path: join(FOLDER, 'node_modules', name, file),
            headers: { 'access-control-allow-origin': '*' }
          })
          await (await route.request().response())?.finished()
        })
        return before
      })
      await page.goto('/graphiql')
      await page.locator('.graphiql-query-editor .CodeMirror').waitFor()
      await page.evaluate(
        'document.querySelector(".graphiql-query-editor .CodeMirror").CodeMirror.setValue("{ add(x: 20, y: 22) }")'
      )
      await page.getByRole('button', { name: /Execute query/ }).click()
      await page.locator('.result-window').getByText('42').waitFor()
    }
  },
  {
    name: 'spa',
    title: 'Single-page app: static files, history fallback, session login, another origin with credentials',
    packages: ['@fastify/static', '@fastify/cors', '@fastify/session'],
    app: 'spa/app.js',
    load: { path: '/settings/profile', body: /Single page/ },
    prepare: async (t) => ({ OTHER_ORIGIN: (otherSite = await startOtherSite(t)) }),
    async check({ visitor }) {
      assert.equal((await visitor().get('/api/absent')).status, 404)
      assert.match((await visitor().get('/deep/link')).text, /Single page/)
    },
    async browse({ page, url }) {
      const user = page.locator('#user')
      await page.goto('/')
      await user.getByText('Logged out').waitFor()
      await page.getByRole('button', { name: 'Log in' }).click()
      await user.getByText('Logged in as ada').waitFor()
      await page.getByRole('link', { name: 'Profile' }).click()
      await page.getByRole('heading', { name: 'Page /settings/profile' }).waitFor()
      await page.reload()
      await page.getByRole('heading', { name: 'Page /settings/profile' }).waitFor()
      await user.getByText('Logged in as ada').waitFor()
      assert.equal(await page.evaluate('getComputedStyle(document.querySelector("h1")).color'), GREEN)

      // The page and the API are of one site (localhost), so browsers send the cookies, and of two origins.
      const api = url.replace('127.0.0.1', 'localhost')
      await page.goto(`${otherSite}/?api=${encodeURIComponent(api)}`)
      await page.getByText('before: null, after: grace').waitFor()
    }
  }
]
