import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesPath, parseRoute, routeText } from '../../src/ipc/route-pattern.ts'

test('a route is a method, a space and a path', () => {
  assert.deepEqual(parseRoute('post /todos/:id'), { method: 'POST', path: '/todos/:id' })
  for (const text of ['/todos', 'POST', 'POST todos', 'POST  /todos', 'POST /a?b', 'POST /a b', '']) {
    assert.equal(parseRoute(text), undefined, text)
  }
  assert.equal(routeText({ method: 'GET', path: '/' }), 'GET /')
})

test('a pattern fits paths with any text in place of a parameter or an asterisk', () => {
  const fitting = [
    ['/todos', '/todos'],
    ['/todos/:id', '/todos/7'],
    ['/todos/*/tags', '/todos/7/tags'],
    ['/files/*', '/files/a'],
    ['/files/*', '/files/a/b/c'],
    ['/*', '/anything/at/all']
  ] as const
  for (const [pattern, path] of fitting) assert.ok(matchesPath(pattern, path), `${pattern} ${path}`)
})

test('a pattern fits no other paths', () => {
  const others = [
    ['/todos', '/todos/'],
    ['/todos', '/Todos'],
    ['/todos/:id', '/todos'],
    ['/todos/:id', '/todos/7/tags'],
    ['/todos/*/tags', '/todos/7/names'],
    ['/files/*', '/files'],
    ['/files/*', '/file/a']
  ] as const
  for (const [pattern, path] of others) assert.ok(!matchesPath(pattern, path), `${pattern} ${path}`)
})
