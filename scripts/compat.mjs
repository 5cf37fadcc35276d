// Runs the compatibility suite: installs the packages of test/compat when its lock has changed, and runs the cases.
// Usage: npm run test:compat [-- --write] [-- case …]
// --write records the results in test/compat/results.json and docs/compatibility.md. Cases are named as in test/compat/cases.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join('test', 'compat')
/** Holds a hash of the lock file that was installed. */
const STAMP = join(FOLDER, 'node_modules', '.lock-hash')
/** The built app of Next, which belongs to the installed version. */
const NEXT_BUILD = join(FOLDER, 'apps', 'next', '.next')
const UNREACHABLE = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTCACHED)\b/

const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'))
const cases = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))

install()
const { status } = spawnSync(process.execPath, ['scripts/test.mjs', 'compat/'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    ...(cases.length > 0 && { COMPAT_CASES: cases.join(',') }),
    ...(options.includes('--write') && { COMPAT_WRITE: '1' })
  }
})
process.exit(status ?? 1)

/** Installs the packages. Without the registry, ends this process: the suite is skipped and says so. */
function install() {
  const hash = createHash('sha256')
    .update(readFileSync(join(FOLDER, 'package-lock.json')))
    .digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return
  console.log(`installing the packages of ${FOLDER}`)
  const args = ['ci', '--prefix', FOLDER, '--ignore-scripts', '--no-audit', '--no-fund']
  const { status, stderr } = spawnSync('npm', args, { encoding: 'utf8', stdio: ['ignore', 'inherit', 'pipe'] })
  if (status === 0) {
    rmSync(NEXT_BUILD, { recursive: true, force: true })
    return writeFileSync(STAMP, hash)
  }
  console.error(stderr)
  if (UNREACHABLE.test(stderr)) {
    console.log(
      '\n== SKIPPED: the compatibility suite needs the npm registry, which cannot be reached. Nothing was tested.'
    )
    console.log('0 passed, 0 failed, 1 skipped')
    process.exit(0)
  }
  console.log('0 passed, 1 failed, 0 skipped')
  process.exit(1)
}
