import assert from 'node:assert/strict'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { until } from '../../helpers/until.ts'
import type { Case } from '../case.ts'

/** Plugins that read requests or change responses. */
export const requests: Case[] = [
  {
    name: 'formbody',
    packages: ['@fastify/formbody'],
    async check({ visitor }) {
      const answer = await visitor().ask('POST', '/', { form: { name: 'Ada & Co' } })
      assert.equal(answer.status, 200)
      assert.match(answer.text, /Hello Ada & Co/)
    },
    async browse({ page }) {
      await page.goto('/')
      await page.getByRole('textbox').fill('Ada')
      await page.getByRole('button').click()
      await page.getByText('Hello Ada').waitFor()
    }
  },
  {
    name: 'multipart',
    packages: ['@fastify/multipart'],
    async check({ visitor }) {
      const bytes = randomBytes(3 * 1024 * 1024)
      const body = new FormData()
      body.set('picture', new Blob([bytes]), 'ada.png')
      const answer = await visitor().ask('POST', '/upload', { body })
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      assert.deepEqual([answer.status, answer.json], [200, { field: 'picture', filename: 'ada.png', sha256 }])
    }
  },
  {
    name: 'compress',
    packages: ['@fastify/compress'],
    load: { headers: { 'accept-encoding': 'identity' }, body: /compressible/ },
    async check({ visitor }) {
      for (const encoding of ['br', 'gzip']) {
        const answer = await visitor().get('/', { 'accept-encoding': encoding })
        assert.equal(answer.headers.get('content-encoding'), encoding)
        assert.equal(answer.json.text.length, 13_000)
      }
      assert.equal((await visitor().get('/short')).headers.get('content-encoding'), null)
    }
  },
  {
    name: 'etag',
    packages: ['@fastify/etag'],
    async check({ visitor }) {
      const etag = (await visitor().get('/')).headers.get('etag')
      assert.ok(etag)
      const again = await visitor().get('/', { 'if-none-match': etag })
      assert.deepEqual([again.status, again.text], [304, ''])
    }
  },
  {
    name: 'cors',
    packages: ['@fastify/cors'],
    async check({ visitor }) {
      const origin = 'http://localhost:5173'
      const foreign = { origin, 'sec-fetch-site': 'cross-site' }
      const preflight = await visitor().ask('OPTIONS', '/', {
        headers: {
          ...foreign,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type'
        }
      })
      assert.equal(preflight.status, 204)
      assert.equal(preflight.headers.get('access-control-allow-origin'), origin)
      assert.equal(preflight.headers.get('access-control-allow-credentials'), 'true')
      assert.match(preflight.headers.get('access-control-allow-methods')!, /POST/)
      const added = await visitor().ask('POST', '/', { json: { id: 2 }, headers: foreign })
      assert.deepEqual([added.status, added.json], [200, { added: { id: 2 } }])
      assert.equal(added.headers.get('access-control-allow-origin'), origin)
      assert.equal((await visitor().ask('DELETE', '/7', { headers: foreign })).status, 200)
      const other = await visitor().get('/', { origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' })
      assert.notEqual(other.headers.get('access-control-allow-origin'), 'http://evil.example')
    }
  },
  {
    name: 'helmet',
    packages: ['@fastify/helmet'],
    async check({ visitor }) {
      for (const path of ['/', '/json']) {
        const { headers } = await visitor().get(path)
        const policy = headers.get('content-security-policy')!
        assert.match(policy, /script-src 'self' https:\/\/cdn\.example/)
        assert.doesNotMatch(policy, /default-src 'none'/)
        assert.equal(headers.get('referrer-policy'), 'same-origin')
        assert.equal(headers.get('x-frame-options'), 'DENY')
      }
    }
  },
  {
    name: 'rate-limit',
    packages: ['@fastify/rate-limit'],
    async check({ visitor }) {
      const client = randomBytes(8).toString('hex')
      const statuses = []
      for (let i = 0; i < 5; i++) statuses.push((await visitor().get(`/limited?client=${client}`)).status)
      assert.deepEqual(statuses, [200, 200, 200, 429, 429], 'the limit holds over both workers')
      const refused = await visitor().get(`/limited?client=${client}`)
      assert.equal(refused.headers.get('x-ratelimit-limit'), '3')
      assert.ok(Number(refused.headers.get('retry-after')) > 0)
    }
  },
  {
    name: 'under-pressure',
    packages: ['@fastify/under-pressure'],
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { pressure: false })
      assert.deepEqual((await visitor().get('/status')).json, { status: 'ok' })
    }
  },
  {
    name: 'sensible',
    packages: ['@fastify/sensible'],
    async check({ visitor }) {
      const found = await visitor().get('/')
      assert.equal(found.headers.get('cache-control'), 'public, max-age=3600')
      const absent = await visitor().get('/absent')
      assert.deepEqual([absent.status, absent.json.message], [404, 'There is no such user'])
      assert.equal((await visitor().get('/teapot')).status, 418)
      assert.equal((await visitor().get('/checked/2')).json.message, 'Only 1 is right')
    }
  },
  {
    name: 'basic-auth',
    packages: ['@fastify/basic-auth', '@fastify/auth'],
    async check({ visitor }) {
      const asked = await visitor().get('/closed')
      assert.deepEqual(
        [asked.status, asked.headers.get('www-authenticate')],
        [401, 'Basic realm="example", charset="UTF-8"']
      )
      const credentials = Buffer.from('ada:lovelace').toString('base64')
      assert.deepEqual((await visitor().get('/closed', { authorization: `Basic ${credentials}` })).json, {
        closed: true
      })
    }
  },
  {
    name: 'raw-body',
    packages: ['fastify-raw-body'],
    async check({ visitor }) {
      const body = '{ "kind" : "paid" }'
      const signature = createHmac('sha256', 'the key').update(body).digest('hex')
      const answer = await visitor().ask('POST', '/webhook', { body, headers: { 'content-type': 'application/json' } })
      assert.deepEqual(answer.json, { signature, kind: 'paid' })
    }
  },
  {
    name: 'request-context',
    packages: ['@fastify/request-context'],
    async check({ visitor }) {
      const names = Array.from({ length: 8 }, (_, i) => `name ${i}`)
      const answers = await Promise.all(names.map((name) => visitor().get('/', { 'x-name': name })))
      assert.deepEqual(
        answers.map(({ json }) => json.name),
        names
      )
    }
  },
  {
    name: 'fastify-metrics',
    packages: ['fastify-metrics'],
    note: 'its `/metrics` shows the worker that answers; `/metrics` of muster, which all workers are on, gives way to it',
    async check({ visitor }) {
      // Either worker may answer. An odd number of requests, so that workers that take turns get other ones each time.
      await until(async () => {
        await visitor().get('/')
        await visitor().get('/')
        const { text } = await visitor().get('/metrics')
        return /http_request_duration_seconds_count\{[^}]*route="\/"/.test(text)
      }, 'a series of the route')
    }
  },
  {
    name: 'typebox',
    packages: ['@fastify/type-provider-typebox', 'typebox'],
    app: 'typebox.ts',
    load: { path: '/add?x=1&y=2', body: /"sum":3/ },
    check: checkTyped
  },
  {
    name: 'zod',
    packages: ['fastify-type-provider-zod', 'zod'],
    app: 'zod.ts',
    load: { path: '/add?x=1&y=2', body: /"sum":3/ },
    check: checkTyped
  }
]

async function checkTyped({ visitor }: Parameters<NonNullable<Case['check']>>[0]): Promise<void> {
  assert.deepEqual((await visitor().get('/add?x=1&y=2')).json, { sum: 3 })
  assert.equal((await visitor().get('/add?x=one&y=2')).status, 400)
  assert.deepEqual((await visitor().ask('POST', '/', { json: { name: 'ada' } })).json, { length: 3 })
  assert.equal((await visitor().ask('POST', '/', { json: { name: 'a' } })).status, 400)
}
