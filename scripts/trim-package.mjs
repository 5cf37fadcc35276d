// `npm pack` and `npm publish` run this: compiles from scratch and leaves in dist/src only what users of the package need: code without
// comments and source maps, of which what is in bundles is nowhere else, and the declarations that the entries of the package reach.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

rmSync('dist', { recursive: true, force: true })
run(join('scripts', 'build.mjs'))
// Again, because declarations keep their comments.
run(
  join('node_modules', 'typescript', 'bin', 'tsc'),
  '-p',
  '.',
  '--removeComments',
  '--declaration',
  'false',
  '--sourceMap',
  'false'
)

const bundles = readdirSync('dist/src/bundles').filter((name) => name.endsWith('.js'))
const entries = ['index.js', 'main.js', 'cli/muster.js', ...bundles.map((name) => `bundles/${name}`)]
/** Pages, templates, and modules for the browser, which are read as files. */
const ASSETS = /^(http\/pages\/(console|profiles)|cli\/init\/templates|profiling)\//

const needed = new Set()
for (const entry of [...entries, 'index.d.ts', 'testing/index.d.ts']) visit(entry)
for (const entry of readdirSync('dist/src', { recursive: true, withFileTypes: true })) {
  const file = relative('dist/src', join(entry.parentPath, entry.name))
  const isUnneeded = /\.(js|d\.ts)$/.test(file) && !needed.has(file)
  if (isUnneeded && (file.endsWith('.d.ts') || !ASSETS.test(file))) rmSync(join('dist/src', file))
}

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** Collects a file and everything of its kind that it imports. @param file below dist/src */
function visit(file) {
  if (needed.has(file)) return
  needed.add(file)
  const [, kind] = /(\.js|\.d\.ts)$/.exec(file)
  const code = readFileSync(join('dist/src', file), 'utf8').replace(/\/\*.*?\*\//gs, '')
  for (const [, specifier] of code.matchAll(/(?:from |import |import\()["'](\.[^"']+)\.(?:ts|js)["']/g)) {
    visit(join(dirname(file), `${specifier}${kind}`))
  }
}
