// `npm pack` and `npm publish` run this: compiles from scratch and leaves in dist/src only what users of the package need, which is
// code without comments and source maps, and the declarations that index.d.ts reaches.
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
visit(resolve('dist/src/index.d.ts'))
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
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()["'](\.[^"']+)\.(?:ts|js)["']/g)) {
    visit(resolve(file, '..', `${specifier}.d.ts`))
  }
}
