// Writes the generated part of docs/testing.md from what the tests of this checkout have done in their last run. Run all of them first:
//   npm run test:coverage; npm run test:slow; LONG_SCALE=0.1 npm run test:long; npm run test:compat; node scripts/testing-figures.mjs
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const PAGE = 'docs/testing.md'
const RESULTS = 'node_modules/.cache/muster/test-results.json'
const COVERAGE = 'coverage/coverage-summary.json'
const BEGIN = '<!-- generated: node scripts/testing-figures.mjs -->\n'
const END = '<!-- /generated -->\n'

const number = (value) => value.toLocaleString('en-US')
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))
const row = (cells) => `| ${cells.join(' | ')} |`
const table = (head, rows) =>
  [row(head), row(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')

const results = Object.entries(readJson(RESULTS)).filter(([file]) => existsSync(file))
const uses = (file, helper) => readFileSync(file, 'utf8').includes(`'../helpers/${helper}.js'`)
const TIERS = {
  'npm test': (file) => !isIn(file, 'long') && !isIn(file, 'compat') && !uses(file, 'takes-long'),
  'npm run test:slow': (file) => !isIn(file, 'long') && uses(file, 'takes-long'),
  'npm run test:long': (file) => isIn(file, 'long'),
  'npm run test:compat': (file) => isIn(file, 'compat')
}
const isIn = (file, folder) => file.includes(`/test/${folder}/`)
const sum = (files, of) => files.reduce((total, [, result]) => total + of(result), 0)

const tiers = Object.entries(TIERS).map(([command, isPart]) => {
  const files = results.filter(([file]) => isPart(file))
  return [`\`${command}\``, number(files.length), number(sum(files, ({ passed }) => passed))]
})
const kinds = [...new Set(results.flatMap(([, { counted }]) => Object.keys(counted)))]
const counted = kinds.map((kind) => [kind, number(sum(results, ({ counted }) => counted[kind] ?? 0))])
const { total } = readJson(COVERAGE)
const coverage = ['lines', 'branches', 'functions'].map((what) => [what, `${total[what].pct} %`])

const text = [
  table(['command', 'files', 'tests that passed'], tiers),
  table(['in these runs', 'number'], counted),
  table(['covered by `npm run test:coverage`', 'share'], coverage)
].join('\n\n')
const page = readFileSync(PAGE, 'utf8')
const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]]
if (after === undefined) throw new Error(`${PAGE} has no generated part`)
writeFileSync(PAGE, `${before}${BEGIN}\n${text}\n\n${END}${after}`)
