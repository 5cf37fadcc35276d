import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import Fastify from 'fastify'
import fp from 'fastify-plugin'
import { readExports } from '../../src/worker/app/read-exports.ts'
import { kindOf } from '../../src/worker/app/recognise.ts'

const noop = () => {}

test('a function is a plugin, unless its parameters are those of a listener', () => {
  const plugins = [
    async () => {},
    async (app: unknown) => app,
    (_app: unknown, _options: unknown, done: () => void) => done(),
    function routes(fastify: unknown, _opts: unknown) {
      return fastify
    },
    fp(async () => {})
  ]
  for (const plugin of plugins) assert.equal(kindOf(plugin), 'plugin', String(plugin))
  const listeners = [
    (req: object, res: object) => [req, res],
    async (request: object, response: object) => [request, response],
    function handler(req: object, res: object, next: object) {
      return [req, res, next]
    },
    async function serve(_req: object, res: object) {
      return res
    },
    {
      handle(request: object, response: object) {
        return [request, response]
      }
    }.handle
  ]
  for (const listener of listeners) assert.equal(kindOf(listener), 'listener', String(listener))
  // A plugin that calls Fastify's arguments like this does not exist; one that only begins like this does.
  assert.equal(kindOf(new Function('requests', 'results', '')), 'plugin')
  assert.equal(kindOf(class App {}), undefined)
})

test('apps of frameworks are told by their methods', () => {
  const express = Object.assign((...args: unknown[]) => args, { handle: noop, listen: noop })
  assert.equal(kindOf(express), 'express')
  assert.equal(kindOf({ callback: noop, listen: noop }), 'koa')
  assert.equal(kindOf({ fetch: noop, request: noop }), 'fetch')
  assert.equal(kindOf({ getHttpAdapter: noop, init: noop, listen: noop }), 'nest')
  assert.equal(kindOf(Fastify()), 'fastify')
  assert.equal(kindOf(createServer()), 'server')
  for (const value of [undefined, null, 3000, 'app', {}, { listen: noop }, []]) assert.equal(kindOf(value), undefined)
})

test('the app is the default export, whatever form the module has', async () => {
  const plugin = async () => {}
  const options = { trustProxy: true }
  const muster = { sessions: false }
  const exported = { app: plugin, serverOptions: options, options: muster }
  assert.deepEqual(await readExports({ default: plugin, options, muster }), exported)
  const compiled = { __esModule: true, default: plugin, options, muster }
  assert.deepEqual(await readExports({ default: compiled }), exported)
  assert.deepEqual(await readExports({ default: Promise.resolve(plugin), options, muster }), exported)
  const commonJs = Object.assign(async () => {}, { options, muster })
  assert.deepEqual(await readExports({ default: commonJs }), { ...exported, app: commonJs })
  assert.deepEqual(await readExports({}), { app: undefined, serverOptions: undefined, options: {} })
})

test('methods of an app are not taken for options', async () => {
  const express = Object.assign((...args: unknown[]) => args, { handle: noop, listen: noop, options: noop })
  assert.equal((await readExports({ default: express })).serverOptions, undefined)
  assert.equal((await readExports({ default: Fastify() })).serverOptions, undefined)
})
