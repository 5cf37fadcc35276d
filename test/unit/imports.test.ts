import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const LIST = fileURLToPath(new URL('../fixtures/list-modules.js', import.meta.url))
const source = (path: string) => new URL(`../../src/${path}`, import.meta.url).href

/** Everything that a fresh process loads when it imports these modules of src/. */
async function loadedBy(...modules: string[]): Promise<{ packages: Set<string>; own: string[]; native: string[] }> {
  const { stdout } = await promisify(execFile)(process.execPath, [LIST, ...modules.map(source)], {
    maxBuffer: 16 * 1024 * 1024
  })
  const files = JSON.parse(stdout) as string[]
  return {
    packages: new Set(files.flatMap((file) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [])),
    own: files.flatMap((file) => /.*\/src\/(.+)\.js$/.exec(file)?.[1] ?? []),
    native: files.flatMap((file) => /^NativeModule (.+)/.exec(file)?.[1] ?? [])
  }
}

const OF_WORKERS = ['fastify', 'ioredis', 'prom-client', 'connect-redis', 'express-session', 'fastify-plugin']

describe('each process loads only what it needs', () => {
  test('the primary loads no web framework, Redis client, schema compiler, metrics library or module of the worker', async () => {
    const { packages, own } = await loadedBy('config/load.js', 'primary/primary.js')
    assert.ok(own.includes('primary/workers/supervisor') && own.includes('ipc/channel'), `too little: ${own}`)
    assert.ok(packages.has('pino'), `too little: ${[...packages]}`)
    assert.deepEqual(
      [...OF_WORKERS, 'ajv', 'ws'].filter((name) => packages.has(name)),
      []
    )
    assert.deepEqual(
      [...packages].filter((name) => name.startsWith('@fastify/') || name.startsWith('@ioredis/')),
      []
    )
    assert.deepEqual(
      own.filter((name) => /^(http|worker|state|routes)\//.test(name)),
      []
    )
    const bundled = await loadedBy('bundles/load.js', 'bundles/primary.js')
    assert.deepEqual([...bundled.packages].sort(), [...packages].sort())
    assert.ok(bundled.own.length < own.length / 4, `${bundled.own.length} of ${own.length} files`)
  })

  test('a worker loads all of these, and no module of the primary', async () => {
    const { packages, own } = await loadedBy('worker/worker.js', 'routes/index.js')
    assert.deepEqual(
      OF_WORKERS.filter((name) => !packages.has(name)),
      []
    )
    assert.ok(own.includes('http/build-app') && own.includes('state/shared/counters'), `too little: ${own}`)
    assert.deepEqual(
      own.filter((name) => name.startsWith('primary/')),
      []
    )
    const bundled = await loadedBy('bundles/load.js', 'bundles/worker.js', 'routes/index.js')
    assert.deepEqual([...bundled.packages].sort(), [...packages].sort())
    assert.ok(bundled.own.length < own.length / 4, `${bundled.own.length} of ${own.length} files`)
  })

  test('no bundle contains a module that apps import with the package: both have the same instances', async () => {
    const { own } = await loadedBy('index.js')
    const folder = new URL('../../src/bundles/', import.meta.url)
    const bundles = readdirSync(folder).filter((name) => name.endsWith('.js'))
    const code = bundles.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n')
    const contains = (name: string) => code.includes(`// src/${name}.ts\n`)
    assert.ok(contains('primary/workers/supervisor') && contains('http/build-app'), 'bundles name their modules')
    // `muster start` has it in its bundle. It keeps no state.
    assert.deepEqual(own.filter(contains), ['start'])
  })

  test('no process loads schema builders, the OpenAPI generator or media type tables', async () => {
    const { packages } = await loadedBy(
      'config/load.js',
      'primary/primary.js',
      'worker/worker.js',
      'routes/index.js',
      'cli/muster.js'
    )
    assert.ok(packages.has('fastify') && packages.has('ajv'), `too little: ${[...packages]}`)
    assert.deepEqual(
      [...packages].filter((name) => /^typebox|^env-schema$|swagger$|^yaml$|^openapi|^mime/.test(name)),
      []
    )
  })

  test('no process loads undici, which an import of node:http would', async () => {
    for (const process of [
      ['config/load.js', 'primary/primary.js'],
      ['worker/worker.js', 'routes/index.js'],
      ['cli/admin-client.js']
    ]) {
      const { native } = await loadedBy(...process)
      assert.ok(native.includes('_http_server'), `too little: ${native}`)
      assert.deepEqual(
        native.filter((name) => name.includes('undici')),
        []
      )
    }
  })

  test('the messages and the channel need no other module', async () => {
    const { packages, own } = await loadedBy('ipc/messages.js', 'ipc/channel.js')
    assert.deepEqual([...packages], [])
    assert.deepEqual(own.sort(), ['ipc/channel', 'ipc/messages'])
  })
})
