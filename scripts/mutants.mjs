// Changes the parts that decide and have no side effects, one small change at a time, and runs their tests on each: a change that no test
// notices is a survivor. Fails if a tenth survives. Prints each survivor, and at the end the share of each file.
// Installs Stryker beside the project's packages on its first run. Takes about an hour of one core.
// Usage: npm run test:mutants [-- --mutate src/primary/policy/plan.ts], with Stryker's other options too.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const VERSION = '9.6.1'
const PARTS = [
  'src/primary/policy/*.ts',
  'src/primary/autoscaling/{forecast,scaling-bounds,scaling-rule}.ts',
  'src/primary/rebalancing/rebalance-rule.ts',
  'src/ipc/transfer-protocol.ts',
  'src/verdict/{batches,compare-*,judge,latency-limits,statistics,worst-routes}.ts',
  'test/history/{check-history,counters,leases,linearizability,ranks,registers,sessions,settings,shortest-part}.ts'
]
/** Not the walks, which run for seconds: a mutant is told by a case that names what is wrong. */
const TESTS = [
  'plan{,-autoscaling,-control,-development,-health,-linger,-release-missing,-rollback,-rollout,-scale-stop,-trial,-upgrade}',
  'reduce{,-trial}',
  '{forecast,scaling-bounds,scaling-rule,rebalance-rule,transfer-protocol}',
  '{judge,judge-looks,latency-limits,stalls,verdict-statistics,worst-routes}',
  'compare-{errors,latency,process,stalls}',
  'history-{counters,file,leases,search,sessions,settings,shortest-part}'
]

const folder = join('node_modules', '.cache', 'mutants')
const stryker = join(folder, 'node_modules', '.bin', 'stryker')
if (!existsSync(stryker)) {
  const packages = ['core', 'tap-runner'].map((name) => `@stryker-mutator/${name}@${VERSION}`)
  mkdirSync(folder, { recursive: true })
  run('npm', ['install', '--silent', '--no-save', '--prefix', folder, ...packages])
}

const config = join(folder, 'config.json')
writeFileSync(
  config,
  JSON.stringify({
    mutate: PARTS,
    testRunner: 'tap',
    tap: {
      testFiles: TESTS.map((name) => `dist/test/unit/${name}.test.js`),
      nodeArgs: ['--test-reporter=tap', '-r', '{{hookFile}}', '{{testFile}}']
    },
    // Below dist, so that Node and tsc find the packages of the project above it. Types are those of the unchanged source.
    tempDirName: 'dist/.mutants',
    buildCommand: 'tsc -p . --noCheck',
    // Stryker would read it through an interface that this version of TypeScript does not have.
    tsconfigFile: 'none',
    ignorePatterns: ['dist', 'docs', 'coverage'],
    coverageAnalysis: 'perTest',
    reporters: ['clear-text', 'progress-append-only'],
    clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false, skipFull: true },
    timeoutMS: 20_000,
    thresholds: { high: 95, low: 90, break: 90 }
  })
)
run(stryker, ['run', config, ...process.argv.slice(2)])

function run(command, args) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
