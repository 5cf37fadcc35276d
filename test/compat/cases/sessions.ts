import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { Case } from '../case.ts'

/** Cookies, sessions and sign-in that the app brings itself. */
export const sessions: Case[] = [
  {
    name: 'cookie',
    packages: ['@fastify/cookie'],
    async check({ visitor }) {
      const ada = visitor()
      const first = await ada.get('/')
      assert.deepEqual(first.json, { seen: 1 })
      assert.match(first.headers.getSetCookie().join(), /seen=1\.[^;]+; Path=\/; HttpOnly/)
      assert.deepEqual((await ada.get('/')).json, { seen: 2 })
      assert.equal((await ada.get('/forget')).status, 204)
      assert.deepEqual((await ada.get('/')).json, { seen: 1 })
      assert.deepEqual((await visitor().get('/', { cookie: 'seen=7.forged' })).json, { seen: 1 })
    }
  },
  {
    name: 'session',
    packages: ['@fastify/session', 'connect-redis'],
    async check({ visitor }) {
      const ada = visitor()
      assert.deepEqual((await ada.get('/')).json, { visits: 1 })
      assert.deepEqual((await ada.get('/')).json, { visits: 2 })
      const login = await ada.ask('POST', '/login', { json: { user: 'ada' } })
      assert.deepEqual([login.status, login.json], [200, { user: 'ada' }])
      assert.match(login.headers.getSetCookie().join(), /^my-session=/)
      // Twice, so that both workers answer: the store is shared.
      for (let i = 0; i < 4; i++) assert.deepEqual((await ada.get('/me')).json, { user: 'ada' })
      assert.deepEqual((await visitor().get('/me')).json, { user: null })
      await ada.ask('POST', '/logout', { json: {} })
      assert.deepEqual((await ada.get('/me')).json, { user: null })
    }
  },
  {
    name: 'secure-session',
    packages: ['@fastify/secure-session'],
    async check({ visitor }) {
      const ada = visitor()
      assert.deepEqual((await ada.get('/')).json, { name: null })
      const saved = await ada.ask('POST', '/name', { json: { name: 'ada' } })
      assert.deepEqual(saved.json, { saved: true })
      for (let i = 0; i < 4; i++) assert.deepEqual((await ada.get('/')).json, { name: 'ada' })
      assert.deepEqual((await visitor().get('/')).json, { name: null })
    }
  },
  {
    name: 'csrf-protection',
    packages: ['@fastify/csrf-protection'],
    async check({ visitor }) {
      const ada = visitor()
      const { token } = (await ada.get('/')).json
      const sent = await ada.ask('POST', '/', { json: {}, headers: { 'csrf-token': token } })
      assert.deepEqual([sent.status, sent.json], [200, { done: true }])
      assert.equal((await ada.ask('POST', '/', { json: {} })).status, 403)
      assert.equal((await visitor().ask('POST', '/', { json: {}, headers: { 'csrf-token': token } })).status, 403)
    }
  },
  {
    name: 'flash',
    packages: ['@fastify/flash'],
    async check({ visitor }) {
      const ada = visitor()
      const sent = await ada.ask('POST', '/', { json: {} })
      assert.deepEqual([sent.status, sent.headers.get('location')], [302, '/'])
      assert.deepEqual((await ada.get('/')).json, { warnings: ['the name is missing'] })
      assert.deepEqual((await ada.get('/')).json, { warnings: [] })
    }
  },
  {
    name: 'passport',
    packages: ['@fastify/passport', 'passport-local'],
    async check({ visitor }) {
      const ada = visitor()
      const wrong = await ada.ask('POST', '/login', { json: { username: 'ada', password: 'wrong' } })
      assert.equal(wrong.status, 401)
      const login = await ada.ask('POST', '/login', { json: { username: 'ada', password: 'lovelace' } })
      assert.deepEqual([login.status, login.json], [200, { name: 'ada' }])
      for (let i = 0; i < 4; i++) assert.deepEqual((await ada.get('/')).json, { name: 'ada' })
      await ada.ask('POST', '/logout', { json: {} })
      assert.deepEqual((await ada.get('/')).json, { name: null })
    }
  },
  {
    name: 'oauth2',
    packages: ['@fastify/oauth2'],
    prepare: async (t) => ({ PROVIDER: await startProvider(t) }),
    async check({ visitor }) {
      const ada = visitor()
      const login = await ada.get('/login')
      assert.equal(login.status, 302)
      const authorize = new URL(login.headers.get('location')!)
      assert.equal(authorize.pathname, '/authorize')
      assert.equal(authorize.searchParams.get('client_id'), 'the-client')
      const state = authorize.searchParams.get('state')!
      const back = await ada.get(`/login/callback?code=the-code&state=${state}`)
      assert.deepEqual([back.status, back.json], [200, { token: 'token for the-code' }])
      assert.equal((await visitor().get('/login/callback?code=the-code&state=forged')).status, 401)
    }
  },
  {
    name: 'jwt',
    packages: ['@fastify/jwt'],
    async check({ visitor }) {
      const ada = visitor()
      const { token } = (await ada.ask('POST', '/login', { json: { name: 'ada' } })).json
      assert.deepEqual((await ada.get('/me', { authorization: `Bearer ${token}` })).json, { name: 'ada' })
      assert.equal((await ada.get('/me')).status, 401)
      assert.equal((await ada.get('/me', { authorization: `Bearer ${token}x` })).status, 401)
    }
  }
]

/** An OAuth provider that gives a token for every code. */
async function startProvider(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      const code = new URLSearchParams(body).get('code')
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ access_token: `token for ${code}`, token_type: 'bearer', expires_in: 3600 }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
