import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { checkPackageName, packageNameOf } from '../../src/cli/init/package-name.ts'
import { environmentSchema } from '../../src/config/environment-schema.ts'

const TEMPLATES = 'src/cli/init/templates'
const read = (file: string) => readFileSync(`${TEMPLATES}/${file}`, 'utf8')

describe('muster init', () => {
  test('makes a package name of every folder name', () => {
    const names = {
      shop: 'shop',
      '/srv/My Shop!': 'my-shop',
      'Café_2.0': 'cafe_2.0',
      '.hidden': 'hidden',
      ___: 'app',
      日本: 'app',
      node_modules: 'app',
      ['x'.repeat(300)]: 'x'.repeat(214)
    }
    for (const [folder, name] of Object.entries(names)) {
      assert.equal(packageNameOf(folder), name)
      checkPackageName(name)
    }
  })

  test('refuses names that npm refuses', () => {
    for (const name of ['', 'Shop', '.shop', '_shop', 'a/b', '@me', 'node_modules', 'x'.repeat(215)]) {
      assert.throws(() => checkPackageName(name), { name: 'UsageError' }, name)
    }
  })

  test('adds the packages for development in the versions that the project itself uses', () => {
    const own = JSON.parse(readFileSync('package.json', 'utf8'))
    const { devDependencies, engines } = JSON.parse(read('typescript/package.json'))
    for (const [name, range] of Object.entries(devDependencies)) assert.equal(range, `^${own.devDependencies[name]}`)
    assert.deepEqual(engines, own.engines)
    assert.deepEqual(JSON.parse(read('javascript/package.json')).engines, own.engines)
  })

  test('writes an .env.example of variables that exist, with their defaults', () => {
    const variables = environmentSchema.properties as Record<string, { default?: unknown }>
    const named = [...read('shared/_env.example').matchAll(/^# ([A-Z_]+)=(.*)$/gm)]
    assert.ok(named.length > 4)
    for (const [, name = '', value] of named) {
      assert.ok(name in variables, name)
      const { default: fallback } = variables[name]!
      if (fallback !== undefined) assert.equal(value, String(fallback), name)
    }
  })

  test('uses the image of the project, and the Redis of its compose file', () => {
    const image = (file: string, pattern: RegExp) => pattern.exec(file)?.[1]
    for (const [name, pattern] of [
      ['Dockerfile', /^FROM (\S+)/m],
      ['docker-compose.yml', /image: (redis\S*)/]
    ] as const) {
      assert.equal(image(read(`shared/${name}`), pattern), image(readFileSync(name, 'utf8'), pattern))
    }
  })

  test('publishes the port as the project does', () => {
    const portsOf = (text: string) => parse(text).services.app.ports
    assert.deepEqual(portsOf(read('shared/docker-compose.yml')), portsOf(readFileSync('docker-compose.yml', 'utf8')))
  })
})
