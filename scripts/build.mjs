// Compiles src, test and bench into dist, copies the files of pages and templates, and bundles (scripts/bundle.mjs). Does nothing while dist is
// current: dist/.stamp holds a hash of everything that the outputs depend on. A folder without sources, such as a production image, needs no compiler.
// With --if-possible, a compiler that is not installed is no error.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDERS = ['src', 'test', 'bench']
/** Folders below test that are not compiled: apps that run as they are, and their packages. */
const NOT_COMPILED = ['test/compat/apps', 'test/compat/node_modules']
/** Folders that are copied as they are. */
const ASSETS = ['src/routes/page', 'src/http/pages/console', 'src/http/pages/profiles', 'src/cli/init/templates']
const BUNDLER = 'scripts/bundle.mjs'
const BUNDLES = 'dist/src/bundles/'
const STAMP = 'dist/.stamp'
/** What tsc remembers for the next run. It does not notice missing outputs, so they need a compilation without it. */
const BUILD_INFO = 'dist/.tsbuildinfo'

const ifPossible = process.argv.includes('--if-possible')
// npm runs this after scripts/trim-package.mjs too, which leaves all that the package needs.
if (ifPossible && ['pack', 'publish'].includes(process.env.npm_command)) process.exit(0)
const sources = FOLDERS.filter(existsSync).flatMap(filesIn)
if (sources.length === 0) process.exit(0)

const outputs = new Set(sources.filter(isCompiled).map((file) => join('dist', file.replace(/\.ts$/, '.js'))))
const complete = [...outputs, BUNDLES].every(existsSync)
const stamp = hashOf([...sources, 'tsconfig.json', 'package-lock.json', BUNDLER])
if (complete && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) process.exit(0)

rmSync(STAMP, { force: true })
if (!complete) rmSync(BUILD_INFO, { force: true })
const tsc = join('node_modules', 'typescript', 'bin', 'tsc')
// npm runs this after an installation too, which may have left out the packages for development.
if (ifPossible && !existsSync(tsc)) process.exit(0)
run(tsc, '-p', '.', '--incremental', '--tsBuildInfoFile', BUILD_INFO)

for (const file of FOLDERS.map((folder) => join('dist', folder))
  .filter(existsSync)
  .flatMap(filesIn)) {
  const source = file.replace(/\.map$/, '').replace(/\.d\.ts$/, '.js')
  if (source.endsWith('.js') && !outputs.has(source) && !isAsset(source) && !source.startsWith(BUNDLES)) rmSync(file)
}
run(BUNDLER)
for (const folder of ASSETS) cpSync(folder, join('dist', folder), { recursive: true })
chmodSync('dist/src/cli/muster.js', 0o755)
writeFileSync(STAMP, stamp)

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return NOT_COMPILED.includes(path) ? [] : filesIn(path)
      return entry.isFile() ? [path] : []
    })
    .sort()
}

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

function isCompiled(file) {
  return /\.(ts|js)$/.test(file) && !isAsset(file)
}

function isAsset(file) {
  return ASSETS.some((folder) => file.includes(folder))
}

function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}
