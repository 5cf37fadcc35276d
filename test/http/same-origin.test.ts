import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InjectOptions } from 'fastify'
import exampleRoutes from '../../src/routes/index.ts'
import { startApp, Visitor } from '../helpers/app.ts'

const HOST = 'muster.example'

test('what changes something is refused when a page of another site asks for it', async (t) => {
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/webhook', { config: { crossSite: true } }, async () => 'taken')
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  const before = await redis.get('muster:hits')
  const ask = async (request: InjectOptions, headers: Record<string, string>) =>
    (await visitor.request({ ...request, path: request.url as string, headers: { host: HOST, ...headers } })).statusCode

  const changes: InjectOptions[] = [
    { method: 'POST', url: '/session', payload: { name: 'eve' } },
    { method: 'DELETE', url: '/session' },
    { method: 'POST', url: '/session/sign-out' },
    { method: 'POST', url: '/hits' }
  ]
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: `https://${HOST}` },
    { 'sec-fetch-site': 'nonsense' },
    { origin: 'https://evil.example' },
    { origin: `https://${HOST}.evil.example` },
    { origin: `https://${HOST}:8443` },
    { origin: 'null' },
    { origin: HOST }
  ]
  for (const change of changes) {
    for (const headers of foreign) {
      assert.equal(await ask(change, headers), 403, `${change.method} ${change.url} ${JSON.stringify(headers)}`)
    }
  }
  assert.equal((await visitor.get('/session')).json().name, 'ada', 'nothing was changed')
  assert.equal(await redis.get('muster:hits'), before)

  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
    assert.equal(await ask({ method: 'GET', url: '/session' }, headers), 200, 'a link to here')
    assert.equal(await ask({ method: 'POST', url: '/webhook' }, headers), 200, 'a route that says so')
  }
  const own: Record<string, string>[] = [
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
    { origin: `https://${HOST}` },
    { origin: `http://${HOST}` },
    { 'sec-fetch-site': 'same-origin', origin: 'null' },
    {}
  ]
  for (const headers of own)
    assert.equal(await ask({ method: 'POST', url: '/hits' }, headers), 200, JSON.stringify(headers))
})

test('a form of another site has no kind of body that is read', async (t) => {
  const { app } = await startApp(t)
  for (const type of ['text/plain', 'multipart/form-data; boundary=x']) {
    for (const url of ['/session', '/hits']) {
      const answer = await app.inject({
        method: 'POST',
        url,
        headers: { 'content-type': type },
        payload: '{"name":"eve"}'
      })
      assert.equal(answer.statusCode, 415, `${url} ${type}`)
    }
  }
})
