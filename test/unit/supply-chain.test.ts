import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../../../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, ROOT), 'utf8')
const manifest = JSON.parse(read('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
interface Locked {
  version: string
  resolved?: string
  integrity?: string
  dev?: true
  optional?: true
  hasInstallScript?: true
}
const { '': _, ...locked } = (JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }).packages
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
const inProduction = Object.entries(locked).filter(([, { dev, optional }]) => !dev && !optional)
const known = new Set(inProduction.map(([path, { version }]) => `${nameOf(path)}@${version}`))

/** The first versions without a hole that is known to reach a service such as this. */
const FLOORS: Record<string, string> = {
  fastify: '5.12.2',
  '@fastify/session': '11.1.3',
  '@fastify/proxy-addr': '5.1.1',
  'fast-uri': '3.1.9',
  '@fastify/static': '9.1.1'
}
/** The first versions that cannot be used here. */
const CEILINGS: Record<string, [version: string, why: string]> = {
  '@fastify/cookie': ['11.1.1', 'later ones bring a cookie package that asks for Node 22'],
  cookie: ['2.0.0', 'it asks for Node 22'],
  'content-disposition': ['3.0.0', 'it asks for Node 22'],
  'kubernetes-models': ['5.0.0', 'it asks for Node 22'],
  '@kubernetes-models/keda': ['2.0.0', 'it asks for Node 22'],
  '@kubernetes-models/prometheus-operator': ['5.0.0', 'its dependencies ask for Node 22'],
  'connect-redis': ['9.0.0', 'it does not work with ioredis']
}

/** Negative where `a` is the older one. */
function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number.parseFloat))
  const differs = x!.findIndex((part, i) => part !== y![i])
  return differs < 0 ? 0 : x![differs]! - y![differs]!
}

test('every locked version is recent enough, and old enough for Node 20', () => {
  const seen = new Set<string>()
  for (const [path, { version }] of Object.entries(locked)) {
    const name = nameOf(path)
    seen.add(name)
    const { [name]: floor } = FLOORS
    const [ceiling, why] = CEILINGS[name] ?? []
    assert.ok(!floor || compare(version, floor) >= 0, `${path} is ${version}, and must be ${floor} at least`)
    assert.ok(!ceiling || compare(version, ceiling) < 0, `${path} is ${version}, and must be below ${ceiling}: ${why}`)
  }
  const bounded = [...Object.keys(FLOORS), ...Object.keys(CEILINGS)]
  assert.deepEqual(
    bounded.filter((name) => !seen.has(name)),
    []
  )
  assert.ok(compare('5.9.10', '5.12.2') < 0 && compare('11.1.0', '11.1.0') === 0 && compare('4.0.0', '3.1.9') > 0)
})

test('every version is exact, from one registry, and pinned by its hash', () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name)
    assert.equal(locked[`node_modules/${name}`]?.version, version, name)
  }
  const origins = new Set<string>()
  for (const [path, { resolved, integrity }] of Object.entries(locked)) {
    // Without an address, it is the registry that npm is set to.
    if (resolved !== undefined) origins.add(new URL(resolved).origin)
    assert.match(integrity ?? '', /^sha512-/, path)
  }
  assert.ok(origins.size <= 1 && [...origins].every((origin) => origin.startsWith('https://')), [...origins].join())
})

test('no production package has an install script: npm ci --ignore-scripts is enough', () => {
  assert.deepEqual(
    inProduction.filter(([, { hasInstallScript }]) => hasInstallScript),
    []
  )
})

test('docs/reference/dependencies.md has a line for each dependency and the number of packages', () => {
  const [first = '', second = ''] = read('docs/reference/dependencies.md').split('## For development')
  const listed = (text: string) => [...text.matchAll(/^\| `([^`]+)` \| \S.{15,} \|$/gm)].map(([, name]) => name)
  assert.deepEqual(listed(first), Object.keys(manifest.dependencies).sort())
  assert.deepEqual(listed(second), Object.keys(manifest.devDependencies).sort())
  assert.match(
    first,
    new RegExp(`^${known.size} packages\\b.*\\b${Object.keys(manifest.dependencies).length} of them`, 'm')
  )
})

test('npm run sbom lists every production package', () => {
  const text = execFileSync('npm', ['run', '-s', 'sbom'], { cwd: fileURLToPath(ROOT), encoding: 'utf8', stdio: 'pipe' })
  interface Component {
    name: string
    version: string
    properties: { name: string }[]
  }
  const { components } = JSON.parse(text) as { components: Component[] }
  const forWork = ({ properties }: Component) => properties.some(({ name }) => name === 'cdx:npm:package:development')
  const found = components.filter((one) => !forWork(one)).map(({ name, version }) => `${name}@${version}`)
  assert.deepEqual(found.sort(), [...known].sort())
})
