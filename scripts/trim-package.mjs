// `npm pack` and `npm publish` run this: compiles from scratch and leaves in dist/src only what users of the package need, which is
// code without comments and source maps, and the declarations that the entries of the package reach.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

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

const needed = new Set()
for (const entry of ['index.d.ts', 'testing/index.d.ts']) visit(resolve('dist/src', entry))
for (const entry of readdirSync('dist/src', { recursive: true, withFileTypes: true })) {
  const file = resolve(entry.parentPath, entry.name)
  if (file.endsWith('.d.ts') && !needed.has(file)) rmSync(file)
}

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** Collects a declaration and everything that it imports. */
function visit(file) {
  if (needed.has(file)) return
  needed.add(file)
  const code = readFileSync(file, 'utf8').replace(/\/\*.*?\*\//gs, '')
  for (const [, specifier] of code.matchAll(/(?:from |import\()["'](\.[^"']+)\.(?:ts|js)["']/g)) {
    visit(resolve(file, '..', `${specifier}.d.ts`))
  }
}
