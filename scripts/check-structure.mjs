// `npm run lint`: checks the layout that docs/architecture.md promises. Prints every violation, exits with 1 if there is one.
// Usage: node scripts/check-structure.mjs [folder that contains src]
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'

export const MAX_FILES_PER_FOLDER = 14

/**
 * Which layers of src each layer may import. A layer is a folder of src, or a file in src itself; `primary/policy` is stricter
 * than the rest of `primary`. An import inside a layer is always allowed.
 */
export const MAY_IMPORT = {
  main: ['worker', 'config'],
  start: ['primary', 'http', 'config'],
  cli: ['start', 'drill', 'admin', 'verdict', 'profiling', 'ipc', 'config', 'common'],
  drill: ['admin', 'ipc', 'common'],
  primary: ['primary/policy', 'admin', 'verdict', 'net', 'ipc', 'config', 'common', 'node-internals'],
  'primary/policy': ['ipc'],
  worker: ['http', 'state', 'verdict', 'net', 'ipc', 'config', 'common', 'node-internals'],
  routes: ['index'],
  testing: ['worker', 'primary', 'http', 'state', 'ipc', 'config', 'common'],
  index: ['start', 'http', 'state', 'ipc', 'common'],
  http: ['state', 'admin', 'net', 'ipc', 'config', 'common', 'node-internals'],
  state: ['ipc', 'config', 'common'],
  admin: ['verdict', 'ipc', 'common'],
  verdict: ['ipc'],
  profiling: ['ipc'],
  config: ['net', 'ipc', 'common'],
  net: ['ipc', 'common', 'node-internals'],
  ipc: [],
  common: [],
  'node-internals': []
}

/** Packages that only some layers may load: the primary stays small, and the layers below `http` do not know Fastify. */
const WORKER_PACKAGES = /^(fastify|fastify-plugin|@fastify\/.*|ioredis|connect-redis|express-session|prom-client)$/
export const WITHOUT_WORKER_PACKAGES = [
  'primary',
  'primary/policy',
  'cli',
  'drill',
  'admin',
  'config',
  'ipc',
  'common',
  'net',
  'profiling',
  'verdict',
  'main'
]

/** Layers that know that there are several processes. */
export const KNOW_PROCESSES = ['main', 'primary', 'worker', 'node-internals']

/** Files of new apps, which are copied: they are no part of the program. */
const TEMPLATES = 'cli/init/templates/'

/** @returns the layer of a file whose path is relative to src */
export function layerOf(file) {
  const [first, second] = file.split('/')
  if (second === undefined) return first.replace(/\.ts$/, '')
  return `${first}/${second}` in MAY_IMPORT ? `${first}/${second}` : first
}

/** @returns one line per violation, empty when the layout is right */
export function violations(root) {
  const files = readdirSync(join(root, 'src'), { recursive: true })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /\.(ts|js)$/.test(file) && !file.startsWith(TEMPLATES))
  const found = []
  for (const [folder, inside] of groupBy(files, (file) => dirname(file))) {
    if (inside.length > MAX_FILES_PER_FOLDER) {
      found.push(`src/${folder} has ${inside.length} files: split it, ${MAX_FILES_PER_FOLDER} is the limit`)
    }
  }
  for (const [name, same] of groupBy(files, (file) => basename(file))) {
    if (same.length > 1 && name !== 'index.ts') found.push(`${name} occurs twice: ${same.join(', ')}`)
  }
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    found.push(...importViolations(file, readFileSync(join(root, 'src', file), 'utf8')))
  }
  return found
}

/**
 * @param file path of a TypeScript file, relative to src
 * @param source its text
 * @returns one line per import that its layer must not have
 */
export function importViolations(file, source) {
  const layer = layerOf(file)
  const allowed = MAY_IMPORT[layer]
  if (!allowed) {
    return [`src/${file}: ${layer} is no layer; add it to scripts/check-structure.mjs and docs/architecture.md`]
  }
  return importsOf(source).flatMap((specifier) => {
    const target = specifier.startsWith('.') ? layerOf(posix.join(posix.dirname(file), specifier)) : layer
    if (target !== layer && !allowed.includes(target)) return [`src/${file}: ${layer} must not import ${target}`]
    if (WORKER_PACKAGES.test(specifier) && WITHOUT_WORKER_PACKAGES.includes(layer)) {
      return [`src/${file}: ${layer} must not import the package ${specifier}`]
    }
    if (specifier === 'node:cluster' && !KNOW_PROCESSES.includes(layer)) {
      return [`src/${file}: ${layer} must not import node:cluster`]
    }
    return []
  })
}

function importsOf(source) {
  return [...source.matchAll(/(?:\bfrom|\bimport\s*\(|^import)\s*['"]([^'"]+)['"]/gm)].map(([, specifier]) => specifier)
}

function groupBy(values, keyOf) {
  const groups = new Map()
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value])
  return groups
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = violations(process.argv[2] ?? '.')
  for (const line of found) console.error(line)
  process.exit(found.length > 0 ? 1 : 0)
}
