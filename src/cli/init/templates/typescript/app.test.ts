import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestApp } from 'muster-serve/testing'
import routes from './app.ts'

test('every request gets a number of its own', async (t) => {
  const app = await createTestApp(routes)
  t.after(() => app.close())
  const answers = await Promise.all([app.inject('/'), app.inject('/'), app.inject('/')])
  assert.deepEqual(answers.map((answer) => answer.json().hits).sort(), [1, 2, 3])
})

test('a visitor who signs in is known until the sign-out', async (t) => {
  const app = await createTestApp(routes)
  t.after(() => app.close())
  const signIn = await app.inject({ method: 'POST', url: '/session', payload: { name: 'ada' } })
  const cookies = Object.fromEntries(signIn.cookies.map(({ name, value }) => [name, value]))
  assert.equal((await app.inject({ url: '/', cookies })).json().name, 'ada')
  await app.inject({ method: 'DELETE', url: '/session', cookies })
  assert.equal((await app.inject({ url: '/', cookies })).json().name, null)
})

test('two workers never sell a ticket too many', async (t) => {
  const first = await createTestApp(routes)
  t.after(() => first.close())
  const second = await createTestApp(routes, { sharesStateWith: first })
  const buyers = [first, second, first, second, first]
  const answers = await Promise.all(buyers.map((app) => app.inject({ method: 'POST', url: '/tickets' })))
  await second.close()
  assert.deepEqual(answers.map((answer) => answer.statusCode).sort(), [200, 200, 200, 409, 409])
})
