// Checks that each promise of README.md names tests in docs/reference/promises.md, and that their files exist.
// With --ran: that each of these files has run since the packages were installed, that tests in it passed and none failed.
// Usage: node scripts/check-promises.mjs [--ran]
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export const PAGE = 'docs/reference/promises.md'
/**
 * What scripts/test.mjs writes: of each file's last run, seconds, numbers of tests, and what `counted` of test/helpers/counted.ts reported.
 * `npm ci` deletes it.
 */
export const RESULTS = join('node_modules', '.cache', 'muster', 'test-results.json')

/** @returns the numbers of the promises in the README, and the test files of each that the page names */
export function promisesAndTests(readme, page) {
  const section = readme.split(/^## /m).find((text) => text.startsWith('Promises\n')) ?? ''
  const promises = [...section.matchAll(/^(\d+)\. \*\*/gm)].map(([, number]) => Number(number))
  const rows = [...page.matchAll(/^\| (\d+) \| .* \| `([^`]+)` \|$/gm)]
  return { promises, tests: rows.map(([, number, file]) => ({ promise: Number(number), file })) }
}

/**
 * @param exists whether a file is there
 * @param results by compiled file: the counts of its last run; undefined: it is not asked whether the tests ran
 * @returns one line per fault, empty when all is well
 */
export function faultsOf({ promises, tests }, exists, results) {
  const untested = promises.filter((number) => !tests.some(({ promise }) => promise === number))
  const unknown = tests.filter(({ promise }) => !promises.includes(promise))
  return [
    ...(promises.length === 0 ? ['README.md makes no promises'] : []),
    ...untested.map((number) => `promise ${number} names no test`),
    ...unknown.map(({ promise, file }) => `${file} tests promise ${promise}, which README.md does not make`),
    ...[...new Set(tests.map(({ file }) => file))].flatMap((file) => faultOf(file, exists, results) ?? [])
  ]
}

function faultOf(file, exists, results) {
  if (!/^test\/.*\.test\.ts$/.test(file)) return `${file} is no test file`
  if (!exists(file)) return `${file} does not exist`
  if (!results) return undefined
  const result = results[join('dist', file.replace(/\.ts$/, '.js'))]
  if (!result) return `${file} has not run`
  if (result.failed > 0) return `${file}: ${result.failed} tests failed`
  return result.passed > 0 ? undefined : `${file}: no test passed, ${result.skipped} were skipped`
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const named = promisesAndTests(readFileSync('README.md', 'utf8'), readFileSync(PAGE, 'utf8'))
  const results = process.argv.includes('--ran') ? readResults() : undefined
  const faults = faultsOf(named, existsSync, results)
  for (const line of faults) console.error(line)
  if (faults.length === 0)
    console.log(
      `${named.promises.length} promises, ${named.tests.length} entries of tests${results ? ', which have run' : ''}`
    )
  process.exit(faults.length > 0 ? 1 : 0)
}

function readResults() {
  try {
    return JSON.parse(readFileSync(RESULTS, 'utf8'))
  } catch {
    return {}
  }
}
