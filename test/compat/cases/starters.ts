import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sizeOf } from '../../helpers/sizes.ts'
import type { Case, Site } from '../case.ts'
import { FOLDER, TSC } from '../installed.ts'

/** Reloads of a starter app under load. */
const STARTER_RELOADS = 20

/** Starter apps as their authors ship them. */
export const starters: Case[] = [
  {
    ...starter('fastify-cli', ['@fastify/autoload', '@fastify/sensible'], 'fastify-cli/app.js'),
    load: { body: /root/ },
    check: async ({ visitor }) => {
      assert.deepEqual((await visitor().get('/')).json, { root: true })
      assert.equal((await visitor().get('/example')).text, 'this is an example')
    }
  },
  { ...starter('Express', ['express'], 'express/app.js'), check: greets('Hello World!') },
  { ...starter('Hono', ['hono', '@hono/node-server'], 'hono/index.ts'), check: greets('Hello Hono!') },
  {
    ...starter('Nest on Express', ['@nestjs/core', '@nestjs/platform-express'], 'nest/dist/main.js'),
    prepare: build('nest'),
    check: greets('Hello World!')
  },
  {
    ...starter('Nest on Fastify', ['@nestjs/core', '@nestjs/platform-fastify'], 'nest-fastify/dist/main.js'),
    prepare: build('nest-fastify'),
    check: greets('Hello World!')
  }
]

function starter(framework: string, packages: string[], app: string): Case {
  return {
    name: `starter-${framework.toLowerCase().replaceAll(' ', '-')}`,
    title: `Starter app of ${framework}, unchanged`,
    packages,
    app: `starters/${app}`,
    reloads: sizeOf('STARTER_RELOADS', STARTER_RELOADS)
  }
}

function greets(text: string) {
  return async ({ visitor }: Site) => {
    const answer = await visitor().get('/')
    assert.deepEqual([answer.status, answer.text], [200, text])
  }
}

/** Compiles a starter app, as its own build script does. */
function build(folder: string) {
  return async () => {
    await promisify(execFile)(process.execPath, [TSC, '-p', join(FOLDER, 'apps', 'starters', folder)])
    return {}
  }
}
