// `npm pack` and `npm publish` run this: compiles from scratch and leaves in dist/src only what users of the package need, which is
// code without links to source maps, and the declarations that index.d.ts reaches.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const SOURCE_MAP = /^\/\/# sourceMappingURL=.*\n?/m

rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync(process.execPath, [join('scripts', 'build.mjs')], { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)

const needed = new Set()
visit(resolve('dist/src/index.d.ts'))
for (const entry of readdirSync('dist/src', { recursive: true, withFileTypes: true })) {
  const file = resolve(entry.parentPath, entry.name)
  if (file.endsWith('.d.ts')) needed.has(file) || rmSync(file)
  else if (file.endsWith('.js')) writeFileSync(file, readFileSync(file, 'utf8').replace(SOURCE_MAP, ''))
}

/** Collects a declaration and everything that it imports. */
function visit(file) {
  if (needed.has(file)) return
  needed.add(file)
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()["'](\.[^"']+)\.(?:ts|js)["']/g)) {
    visit(resolve(file, '..', `${specifier}.d.ts`))
  }
}
